//! Has the server built anew when the front end's files change.

fn main() {
    let profile = if std::env::var("PROFILE").as_deref() == Ok("release") { "release" } else { "debug" };
    println!("cargo:rerun-if-changed=../target/site/{profile}");
}
