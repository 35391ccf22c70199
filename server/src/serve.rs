//! Starts everything, and ends it in good order.

use crate::assets;
use crate::config::{Checked, Config, OnExit};
use crate::hosts::Hosts;
use crate::hub::Hub;
use crate::live::Live;
use crate::outage::Outage;
use crate::queues;
use crate::replica;
use crate::router::{Doors, router};
use crate::security::{Guard, Limits};
use crate::sessions::Sessions;
use crate::setup::{QueuesSetup, Setup};
use crate::tenants::Tenants;
use crate::wired::Wired;
use anyhow::{Context as _, Result, bail};
use app::Ui;
use axum::serve::ListenerExt as _;
use domain::release::DriverKind;
use drivers::local::{Local, Program};
use engine::{MailConfig, Mailer};
use leptos::config::LeptosOptions;
use service::Service;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs the server until it is told to end.
pub async fn run(config: Config) -> Result<()> {
    let Checked { admin, proxies, base: public } = config.check()?;
    let setup = config.setup.as_deref().map(Setup::read).transpose()?.unwrap_or_default();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(&config.log).context("--log")?)
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
    let _lock = lock(&config.data)?;
    let listener = tokio::net::TcpListener::bind((config.host, config.port)).await;
    let listener = listener.with_context(|| {
        format!("port {} on {} cannot be used; choose another with --port", config.port, config.host)
    })?;
    let address = listener.local_addr()?;
    let mail = match &config.smtp {
        Some(url) => MailConfig::Smtp(url.clone()),
        None => MailConfig::Folder(mail_folder(&config)?),
    };
    let store = Store::open(&config.database()).await?;
    let clock = engine::system_clock();
    let local = open_driver(&config).await?;
    let wired = Wired::open(&setup, &local).await?;
    let targets = wired.targets();
    let port = address.port();
    let base = public.as_ref().map_or_else(|| format!("http://localhost:{port}"), |base| base.url.clone());
    let https = public.as_ref().is_some_and(|base| base.https);
    let hosts = Hosts::new(public.as_ref().map_or("localhost", |base| &base.host), &config.tenant_domain);
    let tenant_url = config.tenant_url(public.as_ref(), port);
    let service = Service::new(store.clone(), clock.clone(), Arc::new(wired), &tenant_url)
        .with_queues(setup.queues.as_ref().map(QueuesSetup::known).unwrap_or_default());
    let first = service.first_admin(&admin).await?;
    service.first_strategy().await?;

    let shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();
    let me = replica::draw();
    replica::succeed(&store, &config.data, &me).await;
    let own_stacks = targets.of_kind(DriverKind::Local).next().is_some();
    service.serve_as(replica::describe(&me, &config, port, own_stacks, clock()));
    tasks.spawn(replica::follow(service.clone(), shutdown.clone()));
    let outage = Outage::watch(store.clone(), shutdown.clone());
    tasks.spawn(engine::run_as(me.into(), store.clone(), targets.clone(), clock.clone(), shutdown.clone()));
    let mailer = Mailer {
        config: mail,
        from: config.mail_from.clone(),
        base: base.clone(),
        tenant_url: tenant_url.clone(),
        patience: Mailer::PATIENCE,
    };
    let mailing = mailer.run(store.clone(), clock.clone(), shutdown.clone());
    tasks.spawn(async move {
        if let Err(error) = mailing.await {
            tracing::error!(error, "no messages are sent");
        }
    });
    tasks.spawn(tidy(store.clone(), clock.clone(), shutdown.clone()));
    if let Some(queues) = &setup.queues {
        queues::open(queues, &service, &base, &tasks, &shutdown).await;
    }

    let folder: Arc<str> = assets::folder().into();
    let options =
        LeptosOptions::builder().output_name("tidegate").site_pkg_dir(format!("static/{folder}")).build();
    let doors = Doors {
        ui: Ui { service: service.clone(), options, secure: https },
        live: Live { service, hub: Hub::default(), shutdown: shutdown.clone() },
        tenants: Tenants::new((store.clone(), outage.clone()), targets, hosts, proxies.clone(), https),
        sessions: Sessions { store, clock },
        folder,
        guard: Guard { proxies, https, limits: Limits::default() },
        outage,
    };
    announce(&base, &address, first.as_ref());

    let app = router(doors).into_make_service_with_connect_info::<SocketAddr>();
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let end = shutdown.clone();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = ending().await;
        end.cancel();
    });
    serving.await.context("serving")?;
    shutdown.cancel();
    tasks.close();
    let _ = tokio::time::timeout(Duration::from_secs(12), tasks.wait()).await;
    local
        .shutdown(match config.on_exit {
            OnExit::Stop => drivers::local::OnExit::Stop,
            OnExit::Keep => drivers::local::OnExit::Keep,
        })
        .await;
    Ok(())
}

/// One server for a data folder: two would both look after its processes.
fn lock(data: &Path) -> Result<std::fs::File> {
    std::fs::create_dir_all(data).with_context(|| {
        format!("the data folder {} cannot be made; choose another with --data", data.display())
    })?;
    let path = data.join("lock");
    let file = std::fs::File::create(&path).with_context(|| {
        format!("the data folder {} cannot be written; choose another with --data", data.display())
    })?;
    if file.try_lock().is_err() {
        bail!(
            "another server uses the data folder {}; end it, or choose another with --data",
            data.display()
        );
    }
    Ok(file)
}

async fn open_driver(config: &Config) -> Result<Local> {
    // By its process, not by its name: the file may be replaced while this server runs.
    let path = format!("/proc/{}/exe", std::process::id()).into();
    let program = Program { path, args: vec!["sample-app".to_owned()] };
    Local::open(config.data.join("stacks"), program).await.map_err(|reason| anyhow::anyhow!(reason.sentence))
}

/// The folder for messages, tried: a mail that cannot be written must not be found out when it is missed.
fn mail_folder(config: &Config) -> Result<PathBuf> {
    let folder = config.mail_folder();
    let trial = folder.join(".trial");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&trial, ""))
        .and_then(|()| std::fs::remove_file(&trial))
        .with_context(|| {
            format!(
                "the mail folder {} cannot be written; mend it, or give a server with --smtp",
                folder.display()
            )
        })?;
    Ok(folder)
}

/// Whoever started it may have stopped listening: that ends nothing.
fn announce(base: &str, address: &SocketAddr, first: Option<&(domain::Email, String)>) {
    use std::io::Write as _;
    let mut text =
        format!("Tidegate listens on http://{address}\n  console   {base}/\n  sign-up   {base}/signup\n");
    if let Some((email, password)) = first {
        text += &format!(
            "  sign in as {email} with the password {password}\n  (made at this first start and shown only now)\n"
        );
    }
    let _ = std::io::stdout().write_all(text.as_bytes());
}

async fn tidy(store: Store, clock: engine::Clock, shutdown: CancellationToken) {
    loop {
        if let Err(error) = store.tidy(clock()).await {
            tracing::warn!(%error, "old sessions stay");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(3600)) => {}
        }
    }
}

/// Ctrl-C, or the signal of a service manager.
pub async fn ending() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done,
        _ = terminate.recv() => Ok(()),
    }
}
