//! Compiles the .proto file in Rust, so `protoc` is not needed.

use std::{env, error::Error, fs, path::PathBuf};

use protox::prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/diary.proto"], ["proto"])?;
    // For reflection.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("diary.bin"), descriptors.encode_to_vec())?;
    Ok(tonic_prost_build::compile_fds(descriptors)?)
}
