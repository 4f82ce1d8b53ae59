//! Uses the domain crate on its own: prints the next step of an order for a growing list of facts.
//! Run it with `cargo run -p domain --example next_step`.

use domain::id::OrderId;
use domain::key::{ClientId, EventId, JobId, WhmcsOrderId};
use domain::order::{Fact, OrderState, next};
use domain::time::Timestamp;

#[expect(clippy::print_stdout, reason = "an example prints its output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let order = OrderId::parse("801000000000001")?;
    let event = EventId::new("5f0c9a4e").ok_or("an event has an id")?;
    let job = JobId::of_event(&event);
    let facts = [
        Fact::Checked {
            job: job.clone(),
            idem_key: None,
            number: None,
            account: None,
        },
        Fact::Client {
            client: ClientId(7),
        },
        Fact::Placing {
            at: Timestamp::from_millis(0),
            watermark: WhmcsOrderId(41),
        },
    ];
    println!("order {order}");
    for recorded in 0..=facts.len() {
        let state = OrderState::replay(&facts[..recorded])?;
        println!(
            "after {recorded} facts the next step is {:?}",
            next(&state, &job)
        );
    }
    Ok(())
}
