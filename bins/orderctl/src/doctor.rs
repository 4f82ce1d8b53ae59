//! Read-only checks of the environment, each with its fix.

use std::time::{Duration, SystemTime};

use domain::key::{ClientId, ProductId};
use domain::ports::{CallError, Freshness, OrderDetail, ProvisionerReads};
use error_chain::chain;
use outbound::{ClientOptions, Roots};
use serde_json::json;
use settings::Endpoint;

use crate::cli::Doctor;
use crate::connect::{self, Systems};
use crate::screen::{Exit, Screen, Stop, Table};

/// Largest difference of clocks: Salesforce rejects logins signed with more.
const SKEW: Duration = Duration::from_secs(60);

/// The result of a check: the finding, and the fix if it failed.
type Found = Result<String, (String, &'static str)>;

pub(crate) async fn run(asked: Doctor, screen: &mut Screen) -> Result<Exit, Stop> {
    let systems = connect::systems(&asked.systems)?;
    let mut found = vec![("store", store(&asked).await)];
    found.extend(salesforce(&systems).await);
    found.extend(whmcs(&systems).await);
    found.extend(clocks(&asked, &systems).await);
    let all_ok = found.iter().all(|(_, found)| found.is_ok());
    let rows = found.into_iter().map(|(check, found)| {
        let (ok, detail, fix) = match found {
            Ok(detail) => (true, detail, None),
            Err((detail, fix)) => (false, detail, Some(fix)),
        };
        let word = if ok { "ok" } else { "FAIL" };
        let cells = [word, check, &detail, fix.unwrap_or_default()];
        let cells = cells.map(str::to_owned).to_vec();
        (
            cells,
            json!({"check": check, "ok": ok, "detail": detail, "mend": fix}),
        )
    });
    let table = Table {
        columns: &["", "CHECK", "RESULT", "FIX"],
        rows: rows.collect(),
    };
    screen.list(table)?;
    Ok(if all_ok { Exit::Fine } else { Exit::Problem })
}

async fn store(asked: &Doctor) -> Found {
    const REACH: &str = "Correct DATABASE_URL, or start the database";
    let config = connect::store_config(&asked.store);
    let config = config.map_err(|_| ("DATABASE_URL cannot be used".to_owned(), REACH))?;
    if !config.is_there().await {
        let fix = "Correct DATABASE_URL, or create it with `orderctl db migrate`";
        return Err((format!("{config} does not exist"), fix));
    }
    let schema = job_store::schema_status(&config).await;
    let schema = schema.map_err(|error| (chain(&error).to_string(), REACH))?;
    if !schema.unknown().is_empty() {
        let text = format!("{config}: its schema is newer than this release");
        return Err((text, "Install the release that the other programs have"));
    }
    match schema.pending().as_slice() {
        [] => Ok(format!("{config}, schema current")),
        pending => Err((
            format!("{config}: migrations {pending:?} are missing"),
            "Run `orderctl db migrate`",
        )),
    }
}

async fn salesforce(systems: &Systems) -> Vec<(&'static str, Found)> {
    let login = match systems.tokens.token().await {
        Ok(_) => Ok("logged in".to_owned()),
        Err(error) => Err((
            chain(&error).to_string(),
            "Check SF_LOGIN_URL, SF_CLIENT_ID, SF_USERNAME, the key, and that the user is pre-authorized for the app",
        )),
    };
    if login.is_err() {
        return vec![("salesforce login", login)];
    }
    let described = match systems.salesforce.describe().await {
        Ok(()) => Ok("every required field exists and is writable".to_owned()),
        Err(error) => Err((
            chain(&error).to_string(),
            "Add what is missing, give the user access to it, or rename it in ORDERBRIDGE_CONFIG",
        )),
    };
    vec![
        ("salesforce login", login),
        ("salesforce fields", described),
    ]
}

async fn whmcs(systems: &Systems) -> Vec<(&'static str, Found)> {
    let whmcs = &systems.whmcs;
    let any = ClientId(1);
    vec![
        ("whmcs GetOrderStatuses", allowed(whmcs.probe().await)),
        ("whmcs GetClientsDetails", allowed(whmcs.client(any).await)),
        (
            "whmcs GetOrders",
            allowed(whmcs.orders(any, None, OrderDetail::Services).await),
        ),
        (
            "whmcs GetProducts",
            allowed(whmcs.catalogue(&[ProductId(1)], Freshness::Now).await),
        ),
    ]
}

/// A business error proves that access is allowed.
fn allowed<T>(answer: Result<T, CallError>) -> Found {
    match answer {
        Ok(_) | Err(CallError::Refused(_)) => Ok("allowed".to_owned()),
        Err(CallError::Denied { detail, .. }) => Err((
            detail,
            "Check the credential, its role's API rights, and the addresses that WHMCS allows",
        )),
        Err(error) => Err((
            chain(&error).to_string(),
            "Check WHMCS_URL, and that WHMCS is up and reachable from here",
        )),
    }
}

async fn clocks(asked: &Doctor, systems: &Systems) -> Vec<(&'static str, Found)> {
    let auth = systems.tokens.config();
    let whmcs = &asked.systems.whmcs;
    let whmcs_url = whmcs.whmcs_url.as_ref().map_or("", Endpoint::base);
    vec![
        (
            "clock against salesforce",
            clock(auth.login.base(), auth.ca_file.as_deref()).await,
        ),
        (
            "clock against whmcs",
            clock(whmcs_url, whmcs.whmcs_ca_file.as_deref()).await,
        ),
    ]
}

async fn clock(url: &str, ca_file: Option<&std::path::Path>) -> Found {
    const FIX: &str = "Set this machine's clock by NTP";
    let theirs = date(url, ca_file).await;
    let theirs = theirs.map_err(|text| (text, "Check that it is reachable from here"))?;
    let now = SystemTime::now();
    let apart = now
        .duration_since(theirs)
        .or_else(|_| theirs.duration_since(now));
    let apart = apart.unwrap_or_default();
    match apart <= SKEW {
        true => Ok(format!("{} s apart", apart.as_secs())),
        false => Err((format!("{} s apart", apart.as_secs()), FIX)),
    }
}

/// The time in the response's `Date`.
async fn date(url: &str, ca_file: Option<&std::path::Path>) -> Result<SystemTime, String> {
    let options = ClientOptions {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(10),
        pool_idle: Duration::from_secs(1),
    };
    let roots = Roots::load(ca_file).map_err(|error| chain(&error).to_string())?;
    let client = outbound::build(&options, &roots).map_err(|error| chain(&error).to_string())?;
    let response = client.get(url).send().await;
    let response = response.map_err(|error| chain(&error.without_url()).to_string())?;
    let date = response
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok());
    date.and_then(|date| httpdate::parse_http_date(date).ok())
        .ok_or_else(|| "the response has no Date header".to_owned())
}
