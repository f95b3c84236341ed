//! Generates the gRPC code from `proto/`.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    let mut config = tonic_prost_build::Config::new();
    // Its values are nobody's to read, so `secret.rs` says how it is shown.
    config.skip_debug([".portcullis.v1.Secret"]);
    tonic_prost_build::configure().file_descriptor_set_path(out.join("portcullis.bin")).compile_with_config(
        config,
        &["proto/portcullis/v1/portcullis.proto"],
        &["proto"],
    )?;
    Ok(())
}
