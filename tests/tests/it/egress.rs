//! The way out through an HTTP proxy: TLS to Salesforce (REST and gRPC) and to WHMCS, all of it in
//! CONNECT tunnels.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::process::{Process, until_logged, until_page};
use crate::test_env::{Settings, TestEnv, with};

const WORKER: &str = env!("CARGO_BIN_EXE_crashable-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_crashable-subscriber");

const ORG: &str = "acme.my.salesforce.com:443";
const PUBSUB: &str = "api.pubsub.salesforce.com:7443";
const WHMCS: &str = "billing.example:443";
const USER: &str = "bridge:proxy-password";

/// A target behind the proxy: a simulator without TLS, and the protocol to speak over TLS.
struct Target {
    port: u16,
    alpn: &'static str,
}

/// A proxy that only knows CONNECT, checks credentials, and terminates TLS in front of the
/// simulators.
struct EgressProxy {
    address: SocketAddr,
    tunnels: Arc<Mutex<BTreeMap<String, usize>>>,
    accepting: AbortHandle,
}

impl Drop for EgressProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn key(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("keys")
        .join(name)
}

fn tls(alpn: &str) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(key("test-only-server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(key("test-only-server.key.pem")).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

impl EgressProxy {
    async fn before(targets: BTreeMap<&'static str, Target>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tunnels = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let counted = Arc::clone(&tunnels);
        let targets = Arc::new(targets);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (targets, counted) = (Arc::clone(&targets), Arc::clone(&counted));
                tokio::spawn(async move {
                    // A client that goes away ends its tunnel.
                    let _ = tunnel(client, &targets, &counted).await;
                });
            }
        })
        .abort_handle();
        Self {
            address,
            tunnels,
            accepting,
        }
    }

    /// The hosts that were asked for, and how often.
    fn tunnels(&self) -> BTreeMap<String, usize> {
        self.tunnels.lock().unwrap().clone()
    }
}

async fn tunnel(
    client: TcpStream,
    targets: &BTreeMap<&'static str, Target>,
    counted: &Mutex<BTreeMap<String, usize>>,
) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let (mut host, mut authorized) = (String::new(), false);
    let expected = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, USER);
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        let line = line.trim_end();
        if let Some(rest) = line.strip_prefix("CONNECT ") {
            rest.split(' ')
                .next()
                .unwrap_or_default()
                .clone_into(&mut host);
        }
        let header = line.split_once(": ");
        if let Some((name, value)) = header
            && name.eq_ignore_ascii_case("proxy-authorization")
        {
            authorized = value == format!("Basic {expected}");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut client = client.into_inner();
    let Some(target) = targets.get(host.as_str()).filter(|_| authorized) else {
        let status: &[u8] = match authorized {
            true => b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            false => b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        };
        return client.write_all(status).await;
    };
    *counted.lock().unwrap().entry(host).or_default() += 1;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut client = tls(target.alpn).accept(client).await?;
    let mut server = TcpStream::connect(("127.0.0.1", target.port)).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

impl TestEnv {
    /// The simulators under their public names, reachable through a proxy only.
    async fn behind_proxy(&self) -> EgressProxy {
        self.salesforce
            .set_instance_url("https://acme.my.salesforce.com");
        let whmcs = url::Url::parse(&self.whmcs.url()).unwrap();
        let http = |port| Target {
            port,
            alpn: "http/1.1",
        };
        let pubsub = Target {
            port: self.salesforce.pubsub_port(),
            alpn: "h2",
        };
        EgressProxy::before(BTreeMap::from([
            (ORG, http(self.salesforce.rest_port())),
            (PUBSUB, pubsub),
            (WHMCS, http(whmcs.port().unwrap())),
        ]))
        .await
    }

    fn through(&self, settings: Settings, proxy: &str) -> Settings {
        let ca = key("test-only-ca.pem").display().to_string();
        let mut settings = with(
            self.without_crashes(settings),
            &[
                ("SF_LOGIN_URL", "https://acme.my.salesforce.com"),
                ("SF_PUBSUB_ENDPOINT", &format!("https://{PUBSUB}")),
                ("WHMCS_URL", "https://billing.example"),
            ],
        );
        settings.extend([
            ("SF_CA_FILE", ca.clone()),
            ("WHMCS_CA_FILE", ca),
            ("HTTPS_PROXY", proxy.to_owned()),
        ]);
        settings
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_through_the_proxy_of_the_environment() {
    let env = TestEnv::new().await;
    let proxy = env.behind_proxy().await;
    let url = format!("http://{USER}@{}", proxy.address);
    let (log, events) = (env.file("worker.log"), env.file("subscriber.log"));
    let settings = env.through(env.subscriber_settings(), &url);
    let subscriber = Process::start(SUBSCRIBER, &settings, &events);
    let worker = Process::start(WORKER, &env.through(env.worker_settings(), &url), &log);
    let order = *env.approve(1).first().unwrap();
    env.until_activation(&order, "Activated").await;
    env.assert_provisioned_once(&order);
    let tunnels = proxy.tunnels();
    for host in [ORG, PUBSUB, WHMCS] {
        assert!(tunnels.get(host).is_some_and(|n| *n > 0), "{tunnels:?}");
    }
    worker.stop().await;
    subscriber.stop().await;
    for log in [log, events] {
        let text = fs::read_to_string(log).unwrap();
        assert!(!text.contains("proxy-password"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_that_refuses_us_is_named_without_its_password() {
    let env = TestEnv::new().await;
    let proxy = env.behind_proxy().await;
    let url = format!("http://bridge:wrong-password@{}", proxy.address);
    let log = env.file("subscriber.log");
    let settings = env.through(env.subscriber_settings(), &url);
    let subscriber = Process::start(SUBSCRIBER, &settings, &log);
    until_logged(&log, "proxy").await;
    until_page(&log, "subscriber", "/readyz", |status, ready| {
        status == 200 && ready.contains("degraded")
    })
    .await;
    assert!(proxy.tunnels().is_empty());
    subscriber.stop().await;
    let text = fs::read_to_string(log).unwrap();
    assert!(!text.contains("wrong-password"), "{text}");
}
