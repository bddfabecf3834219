//! Compiles `proto/` without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Asked at run time: a target directory may be shared by several checkouts.
    let root = format!("{}/../../proto", std::env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed={root}");
    let sources =
        ["journal", "link", "outcome"].map(|name| format!("{root}/coven/v1/{name}.proto"));
    let files = protox::compile(sources, [&root])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
