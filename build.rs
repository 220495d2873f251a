//! Compiles the public API with protox, so that the build needs no `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

const PROTO: &str = "sparkler/worker/v1/worker.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile([PROTO], ["proto"])?;

    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let encoded = prost_types::FileDescriptorSet::clone(&descriptors);
    fs::write(out_dir.join("worker.binpb"), prost::Message::encode_to_vec(&encoded))?;

    let mut config = prost_build::Config::new();
    config.enable_type_names();
    // Most responses are deltas, which should not be moved with room for a whole answer.
    config.boxed(".sparkler.worker.v1.ExecuteNodeResponse.event.completed");
    tonic_prost_build::configure()
        .codec_path("crate::grpc::Codec")
        // Messages that hold a secret must not be printable.
        .skip_debug([
            "sparkler.worker.v1.Credential",
            "sparkler.worker.v1.ListModelsRequest",
            "sparkler.worker.v1.ExecuteNodeRequest",
            "sparkler.worker.v1.AttachExecutionRequest",
            "sparkler.worker.v1.CheckNodeRequest",
            "sparkler.worker.v1.Started",
            "sparkler.worker.v1.ExecuteNodeResponse",
        ])
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
