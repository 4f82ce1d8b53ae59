//! Compiles the vendor's service definition without requiring `protoc`, and lists the metadata that
//! the simulated org consists of.
use std::{env, error::Error, fmt::Write, fs, path::Path};

const METADATA: &str = "../../deploy/salesforce/force-app/main/default";

fn main() -> Result<(), Box<dyn Error>> {
    let proto = "../../proto/eventbus/v1/pubsub_api.proto";
    println!("cargo:rerun-if-changed={proto}");
    let descriptors = protox::compile([proto], ["../../proto"])?;
    tonic_prost_build::configure()
        .build_server(true)
        .build_client(true)
        .compile_fds(descriptors)?;
    list_metadata()
}

/// Writes the text of every custom field of an object, and of the order statuses.
fn list_metadata() -> Result<(), Box<dyn Error>> {
    let metadata = Path::new(METADATA);
    println!("cargo:rerun-if-changed={METADATA}");
    let mut code = String::from("const FIELDS: &[(&str, &str)] = &[\n");
    for object in ["Account", "Order", "OrderItem", "Product2"] {
        let mut files = fs::read_dir(metadata.join("objects").join(object).join("fields"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()?;
        files.sort();
        for file in files {
            writeln!(code, "({object:?}, {:?}),", fs::read_to_string(file)?)?;
        }
    }
    let statuses = metadata.join("standardValueSets/OrderStatus.standardValueSet-meta.xml");
    writeln!(
        code,
        "];\nconst ORDER_STATUS: &str = {:?};",
        fs::read_to_string(statuses)?
    )?;
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("metadata.rs"), code)?;
    Ok(())
}
