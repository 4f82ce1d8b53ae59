//! Compiles Salesforce's service definition without `protoc`.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "../../proto/eventbus/v1/pubsub_api.proto";
    println!("cargo:rerun-if-changed={proto}");
    let descriptors = protox::compile([proto], ["../../proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_client(true)
        .compile_fds(descriptors)?;
    Ok(())
}
