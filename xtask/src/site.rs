//! The front end: WebAssembly with its bindings, one style sheet, icons; compressed once, embedded in the server.

use crate::packages;
use crate::steps::{cargo, root, run, say};
use anyhow::{Context as _, Result, anyhow};
use lightningcss::bundler::{Bundler, FileProvider};
use lightningcss::stylesheet::{MinifyOptions, ParserOptions, PrinterOptions};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

/// Builds `target/site/<profile>`; files that did not change are not written, so the server is not linked again.
pub fn build(release: bool) -> Result<()> {
    let out = root().join("target/site").join(if release { "release" } else { "debug" });
    let folder = out.with_extension("bindings");
    module("frontend", "tidegate", &folder, release)?;
    let mut files = BTreeMap::new();
    collect(&folder, "", &mut files)?;
    files.insert("style.css".into(), style(&root().join("style/main.css"))?);
    for entry in std::fs::read_dir(root().join("style/assets")).into_iter().flatten().flatten() {
        files.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
    }
    let mut hash = Sha256::new();
    for (name, content) in &files {
        hash.update(name);
        hash.update(content);
    }
    let hash: String = hash.finalize().iter().take(6).map(|b| format!("{b:02x}")).collect();
    if std::fs::read_to_string(out.join("hash")).is_ok_and(|old| old == hash) {
        return Ok(());
    }
    say("Compressing the front end");
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out)?;
    for (name, content) in &files {
        std::fs::write(out.join(name), content)?;
        std::fs::write(out.join(format!("{name}.gz")), gzip(content)?)?;
        std::fs::write(out.join(format!("{name}.br")), brotli(content, release)?)?;
    }
    // Last: a build that was interrupted is done again.
    std::fs::write(out.join("hash"), hash)?;
    Ok(())
}

/// Builds a package for browsers into a folder: `<name>.js`, and `<name>_bg.wasm`, which it loads. wasm-bindgen is a
/// library here, of the very version that the package uses.
pub fn module(package: &str, name: &str, folder: &Path, release: bool) -> Result<()> {
    packages::wasm_target()?;
    let profile = if release { "wasm-release" } else { "dev" };
    let mut command = cargo();
    command.args(["build", "-p", package, "--lib", "--target", "wasm32-unknown-unknown"]);
    command.args(["--target-dir", "target/wasm", "--profile", profile]);
    run(&format!("Building {package} for browsers"), &mut command)?;
    let built =
        root().join("target/wasm/wasm32-unknown-unknown").join(if release { profile } else { "debug" });
    let wasm = built.join(format!("{package}.wasm"));
    let stamp = folder.join(format!("{name}_bg.wasm"));
    let fresh = || Some(stamp.metadata().ok()?.modified().ok()? >= wasm.metadata().ok()?.modified().ok()?);
    if fresh() != Some(true) {
        say("Binding WebAssembly to JavaScript");
        let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
        bindgen.input_path(wasm).out_name(name).typescript(false);
        bindgen.web(true).map_err(|e| anyhow!("{e}"))?;
        bindgen
            .debug(!release)
            .keep_debug(!release)
            .remove_name_section(release)
            .remove_producers_section(release);
        bindgen.generate(folder).map_err(|e| anyhow!("wasm-bindgen: {e}"))?;
    }
    Ok(())
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn style(entry: &Path) -> Result<Vec<u8>> {
    let provider = FileProvider::new();
    let mut bundler = Bundler::new(&provider, None, ParserOptions::default());
    let mut sheet = bundler.bundle(entry).map_err(|e| anyhow!("the style sheets: {e}"))?;
    sheet.minify(MinifyOptions::default()).map_err(|e| anyhow!("the style sheets: {e}"))?;
    let css = sheet.to_css(PrinterOptions { minify: true, ..PrinterOptions::default() });
    Ok(css.map_err(|e| anyhow!("the style sheets: {e}"))?.code.into_bytes())
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    encoder.write_all(content)?;
    encoder.finish().context("compressing")
}

fn brotli(content: &[u8], best: bool) -> Result<Vec<u8>> {
    let mut out = vec![];
    let quality = if best { 11 } else { 4 };
    brotli::CompressorWriter::new(&mut out, 1 << 16, quality, 22).write_all(content)?;
    Ok(out)
}
