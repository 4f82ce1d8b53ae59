//! TLS on every simulated port.
use simulators::{
    Certificate, Listen, World, WorldOptions, salesforce::SalesforceOptions, whmcs::WhmcsOptions,
};

async fn secure() -> (World, reqwest::Client) {
    let names = ["127.0.0.1", "localhost"].map(str::to_owned);
    let (certificate, authority) = Certificate::for_names(&names).unwrap();
    let listen = Listen::default().with_tls(&certificate).unwrap();
    let world = World::start(WorldOptions {
        salesforce: SalesforceOptions {
            listen: listen.clone(),
            ..SalesforceOptions::default()
        },
        whmcs: WhmcsOptions {
            listen,
            ..WhmcsOptions::default()
        },
        ..WorldOptions::default()
    });
    let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([authority])
        .build()
        .unwrap();
    (world.await.unwrap(), client)
}

#[tokio::test]
async fn ports_speak_tls_with_a_certificate_of_the_authority() {
    let (world, client) = secure().await;
    for url in [
        format!("{}/services/data", world.salesforce.rest_url()),
        format!("{}/includes/api.php", world.whmcs.url()),
    ] {
        assert!(url.starts_with("https://"), "{url}");
        client.get(&url).send().await.unwrap();
        let plain = url.replace("https://", "http://");
        assert!(reqwest::get(plain).await.is_err());
        assert!(reqwest::get(&url).await.is_err(), "an unknown authority");
    }
    assert!(world.salesforce.pubsub_url().starts_with("https://"));
}

#[tokio::test]
async fn client_that_never_finishes_its_handshake_blocks_nobody() {
    let (world, client) = secure().await;
    let port = world.salesforce.rest_port();
    let _silent = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let url = format!("{}/services/data", world.salesforce.rest_url());
    assert_eq!(client.get(url).send().await.unwrap().status(), 200);
}

#[test]
fn key_of_another_certificate_is_refused() {
    let names = ["localhost".to_owned()];
    let (_, authority) = Certificate::for_names(&names).unwrap();
    let key = simulators::salesforce::PRIVATE_KEY_PEM;
    let error = Certificate::from_pem(&authority, key).unwrap_err();
    assert!(error.to_string().contains("cannot be used together"));
    assert!(Certificate::from_pem("nothing", key).is_err());
}
