//! `--probe`: whether the marker of an order survives in this WHMCS.

use app::SystemConfig;
use domain::id::{OrderId, OrderItemId, OrgId};
use domain::key::{ClientId, LineMarker, Marker, ProductId};
use domain::order::{Cycle, Line, Plan};
use domain::ports::{NewOrder, Provisioner, ProvisionerReads};
use error_chain::chain;
use outbound::Roots;
use whmcs::{Api, Whmcs};

use super::rows::Rows;
use crate::screen::Stop;

const MARKER: &str = "marker";
/// Ids that no order and no line have.
const NO_ORDER: &str = "801000000000000AAA";
const NO_LINE: &str = "802000000000000AAA";

/// What to order for the probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) client: ClientId,
    pub(crate) product: ProductId,
    pub(crate) cycle: Cycle,
}

pub(super) async fn check(
    rows: &mut Rows,
    config: SystemConfig,
    probe: Probe,
    org: Option<&str>,
    answers: bool,
) -> Result<(), Stop> {
    let (Some(org), true) = (org, answers) else {
        rows.skip(MARKER, "needs Salesforce and WHMCS");
        return Ok(());
    };
    let mut settings = config.whmcs;
    // Nobody is to get a bill or a mail for it.
    (settings.invoice, settings.emails) = (false, false);
    let roots = Roots::load(settings.ca_file.as_deref())?;
    let whmcs = Whmcs::new(Api::new(settings, &roots)?, config.whmcs_options);
    let marker = Marker {
        org: OrgId::parse(org)?,
        order: OrderId::parse(NO_ORDER)?,
    };
    let line = Line {
        marker: LineMarker {
            item: OrderItemId::parse(NO_LINE)?,
            unit: 1,
        },
        product: probe.product,
        cycle: probe.cycle,
        unit_price: None,
    };
    let order = NewOrder {
        client: probe.client,
        marker,
        plan: Plan { lines: vec![line] },
    };
    let placed = match whmcs.place_order(&order).await {
        Ok(placed) => placed.order,
        Err(error) => {
            rows.fail(
                MARKER,
                format!("the probe was not placed: {}", chain(&error)),
                "Give --probe-client an active client without customers behind it, and --probe-product a free product without a module",
            );
            return Ok(());
        }
    };
    let clean_up = format!("Delete WHMCS order {placed}, which was made for this check");
    let read = match whmcs.order(probe.client, placed).await {
        Ok(Some(read)) => read,
        other => {
            let why = other.err().map_or("it is not listed".to_owned(), |error| {
                chain(&error).to_string()
            });
            rows.fail(
                MARKER,
                format!("WHMCS order {placed} cannot be read back: {why}"),
                clean_up,
            );
            return Ok(());
        }
    };
    let in_lines = read.lines.iter().any(|service| service.marker.is_some());
    match (marker.is_in(&read.notes), in_lines) {
        (true, _) => rows.warn(MARKER, "survives in the notes of orders", clean_up),
        (false, true) => rows.warn(MARKER, "survives in the custom field of lines only", clean_up),
        (false, false) => rows.fail(
            MARKER,
            "WHMCS drops the notes of orders",
            format!("Find the hook or module that changes orders, or name a custom field as whmcs.line_marker_fields in ORDERBRIDGE_CONFIG. {clean_up}"),
        ),
    }
    Ok(())
}
