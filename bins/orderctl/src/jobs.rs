//! `orderctl jobs`.

use domain::key::JobId;

use crate::cli::{JobsList, JobsVerb, OneJob};
use crate::screen::{Exit, Screen, Stop, Table};
use crate::{connect, show};

pub(crate) async fn run(verb: JobsVerb, screen: &mut Screen) -> Result<Exit, Stop> {
    match verb {
        JobsVerb::List(asked) => list(&asked, screen).await,
        JobsVerb::Show(asked) => one(&asked, screen).await,
    }
}

async fn list(asked: &JobsList, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let jobs = store.ports.jobs(asked.state, None, asked.limit).await?;
    let table = Table {
        columns: show::JOBS,
        rows: jobs.iter().map(show::job).collect(),
    };
    screen.list(table)?;
    Ok(Exit::Fine)
}

async fn one(asked: &OneJob, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let found = match JobId::new(asked.job.as_str()) {
        Some(id) => store.ports.job(&id).await?,
        None => None,
    };
    let Some(view) = found else {
        return Err(Stop::NotFound(format!(
            "no job `{}` in the store. Run `orderctl jobs list`",
            asked.job
        )));
    };
    let job = &view.job;
    let lines = [
        ("job", job.id.to_string()),
        ("order", job.order.to_string()),
        ("state", view.stage.name().to_owned()),
        ("source", job.source.name().to_owned()),
        ("correlation id", job.correlation.to_string()),
        ("requested by", show::maybe(job.requested_by.as_ref())),
        ("requested", runtime::rfc3339(job.requested_at)),
        ("enqueued", runtime::rfc3339(view.enqueued_at)),
        ("started", show::when(view.started_at)),
        ("ended", show::when(view.ended_at)),
    ];
    screen.show(&lines, &show::job_value(&view))?;
    Ok(Exit::Fine)
}
