//! Generates the gRPC code from `proto/`.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    tonic_prost_build::configure()
        .file_descriptor_set_path(out.join("portcullis.bin"))
        .compile_protos(&["proto/portcullis/v1/portcullis.proto"], &["proto"])?;
    Ok(())
}
