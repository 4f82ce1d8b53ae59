//! What the command line does to a store.

use orderctl::{Exit, Stop};
use runtime::Failure;
use serde_json::json;
use testkit::order_id;

use crate::test_env::{TestEnv, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn irreversible_command_without_tty_needs_yes_flag() {
    let env = TestEnv::new().await;
    let set = ["cursor", "set", "0a"];
    let refused = env.act(&set).await;
    assert!(matches!(refused.ended, Err(Stop::Usage(_))));
    assert!(refused.refused().contains("--yes"), "{}", refused.refused());
    let dry = env.act(&["cursor", "set", "0a", "--dry-run"]).await;
    assert_eq!(dry.json()["done"], false);
    assert!(dry.err.starts_with("would move the cursor"), "{}", dry.err);
    let cursor = env.json(&["cursor", "show"]).await;
    assert_eq!(cursor["cursor"]["replayId"], "00ff");
    assert_eq!(env.json(&["audit"]).await, json!([]));
    let done = env.act(&["cursor", "set", "0a", "--yes"]).await.json();
    let expected = json!({
        "act": "set_cursor", "subject": "/event/OrderProvisionRequested__e to 0a",
        "who": "ada", "reason": "because", "done": true,
    });
    assert_eq!(done, expected);
    let cursor = env.json(&["cursor", "show"]).await;
    assert_eq!(cursor["cursor"]["replayId"], "0a");
    assert_eq!(cursor["leader"], json!(null), "its term is over");
    let line = json!([{
        "at": "T", "who": "ada", "act": "set_cursor", "reason": "because",
        "subject": "/event/OrderProvisionRequested__e to 0a",
    }]);
    assert_eq!(env.json(&["audit"]).await, line);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn position_of_another_bridge_is_shown_first_and_set_on_apply() {
    let env = TestEnv::new().await;
    env.act(&["cursor", "set", "00000000000003e8", "--yes"])
        .await
        .json();
    let import = ["cursor", "import", "--replay-id", "990"];
    let dry = env.act(&import).await;
    assert!(dry.err.contains("add --apply"), "{}", dry.err);
    let shown = dry.json();
    assert_eq!(
        (&shown["replayId"], &shown["base64"], &shown["decimal"]),
        (
            &json!("00000000000003de"),
            &json!("AAAAAAAAA94="),
            &json!("990")
        )
    );
    assert_eq!(shown["storedReplayId"], "00000000000003e8");
    let compared = shown["compared"].as_str().unwrap();
    assert!(compared.starts_with("10 positions behind"), "{compared}");
    assert_eq!(shown["done"], false);
    assert_eq!(env.json(&["audit"]).await.as_array().unwrap().len(), 1);
    let cursor = env.json(&["cursor", "show"]).await;
    assert_eq!(cursor["cursor"]["replayId"], "00000000000003e8");

    let applied = env.act(&[&import[..], &["--apply"]].concat()).await.json();
    assert_eq!(applied["done"], true);
    let cursor = env.json(&["cursor", "show"]).await;
    assert_eq!(cursor["cursor"]["replayId"], "00000000000003de");
    let audit = env.json(&["audit"]).await;
    assert_eq!(audit[0]["act"], "set_cursor");
    let subject = "/event/OrderProvisionRequested__e to 00000000000003de";
    assert_eq!(audit[0]["subject"], subject);
    // Repeated, it changes nothing.
    let again = env.act(&[&import[..], &["--apply"]].concat()).await.json();
    assert_eq!(again["compared"], "the stored position");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn position_in_a_file_is_read_with_its_age() {
    let env = TestEnv::new().await;
    let file = env.file("replay.id");
    std::fs::write(&file, "AAAAAAAAA94=\n").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(73 * 3600);
    let opened = std::fs::File::options().write(true).open(&file).unwrap();
    opened.set_modified(old).unwrap();
    let import = ["cursor", "import", "--file", file.to_str().unwrap()];
    let dry = env.act(&import).await;
    assert!(dry.err.contains("older than 72 h"), "{}", dry.err);
    assert_eq!(dry.json()["replayId"], "00000000000003de");
    std::fs::write(&file, "{}").unwrap();
    let refused = env.act(&import).await.refused();
    assert!(refused.contains("not a replay id"), "{refused}");
    let missing = env.act(&["cursor", "import", "--file", "/nowhere"]).await;
    assert!(missing.refused().contains("/nowhere"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pauses_and_resumes_workers_and_intake() {
    let env = TestEnv::new().await;
    env.act(&["pause", "worker"]).await.json();
    env.act(&["pause", "intake"]).await.json();
    let pauses = env.store.ports.pauses().await.unwrap();
    assert_eq!(pauses.len(), 2);
    let paused = env.json(&["cursor", "show"]).await["paused"].clone();
    let channel = "intake /event/OrderProvisionRequested__e";
    assert_eq!(
        paused,
        json!({"what": channel, "by": "ada", "reason": "because", "since": "T"})
    );
    env.act(&["resume", "worker"]).await.json();
    env.act(&["resume", "intake"]).await.json();
    assert!(env.store.ports.pauses().await.unwrap().is_empty());
    let again = env.act(&["resume", "worker"]).await;
    assert!(
        again.refused().contains("does not exist"),
        "{}",
        again.refused()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dismisses_dead_letter_and_acknowledges_order() {
    let env = TestEnv::new().await;
    env.act(&["events", "dismiss", "1", "--yes"]).await.json();
    assert_eq!(env.json(&["events", "dead-letters"]).await, json!([]));
    let all = env.json(&["events", "dead-letters", "--all"]).await;
    assert_eq!(all[0]["closedAt"], "T");
    env.act(&["orders", "handle", "00000002"]).await.json();
    let order = env.json(&["orders", "show", order_id(2).as_str()]).await;
    let handled = json!({"who": "ada", "why": "because", "at": "T"});
    assert_eq!(order["order"]["handled"], handled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_finished_order_prints_history_and_outcome() {
    let env = TestEnv::new().await;
    let good = env
        .run(&["orders", "follow", "00000001", "-o", "jsonl"])
        .await;
    assert_eq!(good.ended.unwrap(), Exit::Fine);
    assert_eq!(good.out.lines().count(), 4);
    let bad = env.run(&["orders", "follow", "00000002"]).await;
    assert_eq!(bad.ended.unwrap(), Exit::Difference);
    assert!(bad.err.contains("failed"), "{}", bad.err);
    let order = order_id(3).to_string();
    let waiting = ["orders", "follow", &order, "--timeout", "1ms"];
    assert_eq!(env.run(&waiting).await.ended.unwrap(), Exit::Difference);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_is_copied_after_leases_expire_with_equal_content() {
    let env = TestEnv::new().await;
    let (from, to) = (
        env.url(),
        format!("sqlite:{}", env.file("copy.db").display()),
    );
    let copy = ["db", "copy", "--from", &from, "--to", &to, "-o", "json"];
    let in_use = run(&copy).await;
    assert!(in_use.refused().contains("still works with the source"));
    env.act(&["pause", "intake"]).await.json();
    let copied = run(&copy).await;
    let tables = copied.json();
    let rows = tables.as_array().unwrap().iter();
    let rows: Vec<_> = rows
        .map(|table| (table["table"].clone(), table["rows"].clone()))
        .collect();
    assert!(rows.contains(&(json!("job"), json!(3))), "{rows:?}");
    assert!(copied.err.contains("copying job: 3 rows"), "{}", copied.err);
    let there = run(&["orders", "list", "-o", "json", "--database-url", &to])
        .await
        .json();
    assert_eq!(there, env.json(&["orders", "list"]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_cannot_be_opened_is_a_wrong_setting() {
    let env = TestEnv::new().await;
    let text = env.file("notes.txt");
    std::fs::write(&text, "no database, but long enough to be one. ".repeat(99)).unwrap();
    let missing = env.file("mistyped.db");
    for (path, words) in [(text, "cannot be opened"), (missing, "does not exist")] {
        let url = format!("sqlite:{}", path.display());
        for [noun, verb] in [["orders", "list"], ["db", "status"]] {
            let ended = run(&[noun, verb, "--database-url", &url]).await.ended;
            let Err(Stop::Failed(Failure::Config(problems))) = ended else {
                panic!("{noun} {verb}: {ended:?}");
            };
            let shown = problems.to_string();
            assert!(shown.starts_with("DATABASE_URL: "), "{shown}");
            assert!(shown.contains(words), "{shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inspecting_missing_store_does_not_create_it() {
    let env = TestEnv::new().await;
    let path = env.file("mistyped.db");
    let url = format!("sqlite:{}", path.display());
    for command in [["orders", "list"], ["db", "status"]] {
        let [noun, verb] = command;
        let refused = run(&[noun, verb, "--database-url", &url]).await;
        assert!(
            refused.refused().contains("does not exist"),
            "{}",
            refused.refused()
        );
        assert!(!path.exists());
    }
    let dry = run(&["db", "migrate", "--dry-run", "--database-url", &url]).await;
    assert!(dry.err.contains("would create the store") && !path.exists());
    let made = run(&["db", "migrate", "-o", "json", "--database-url", &url]).await;
    assert_eq!(made.json()["created"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_needs_confirmation_and_keeps_recent_rows() {
    let env = TestEnv::new().await;
    let young = env.run(&["db", "prune", "--older-than", "1d"]).await;
    assert!(young.refused().contains("7 days"), "{}", young.refused());
    let none = json!({"jobs": 0, "events": 0, "facts": 0, "deadLetters": 0, "gaps": 0,
        "auditLines": 0, "pruned": false});
    let dry = ["db", "prune", "--older-than", "90d", "--dry-run"];
    assert_eq!(env.json(&dry).await, none);
    let asked = env.run(&["db", "prune", "--older-than", "90d"]).await;
    assert!(matches!(asked.ended, Err(Stop::Usage(_))));
    let done = env
        .json(&["db", "prune", "--older-than", "90d", "--yes"])
        .await;
    assert_eq!(done["pruned"], true);
}

/// Exit code 3, for scripts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_exist_is_told_apart_from_failures() {
    let env = TestEnv::new().await;
    let dismissed = env.act(&["events", "dismiss", "99", "--yes"]).await;
    let order = env.run(&["orders", "show", "no-such-order"]).await;
    let job = env.run(&["jobs", "show", "no-such-job"]).await;
    for ran in [dismissed, order, job] {
        let ended = &ran.ended;
        assert!(matches!(ended, Err(Stop::NotFound(_))), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completions_and_man_page_name_every_command() {
    for words in [&["completions", "bash"][..], &["man"]] {
        let text = run(words).await.out;
        for noun in ["orders", "reconcile", "doctor", "cursor"] {
            assert!(text.contains(noun), "{noun} in {words:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn online_backup_never_overwrites_a_file() {
    let env = TestEnv::new().await;
    let file = env.file("backup.db");
    let to = file.to_str().unwrap();
    let counted = env.json(&["db", "backup", "--to", to]).await;
    let rows = |table: &str| {
        let found = counted.as_array().unwrap().iter();
        let mut found = found.filter(|row| row["table"] == table);
        found.next().unwrap()["rows"].as_u64().unwrap()
    };
    assert_eq!((rows("job"), rows("dead_letter")), (3, 1));
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&file).unwrap();
    let again = env.run(&["db", "backup", "--to", to]).await;
    assert!(
        again.refused().contains("not there yet"),
        "{}",
        again.refused()
    );
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_prints_events_line_by_line() {
    let env = TestEnv::new().await;
    let words = [
        "events",
        "tail",
        "--last",
        "9",
        "--timeout",
        "0s",
        "-o",
        "jsonl",
    ];
    let ran = env.run(&words).await;
    assert!(matches!(ran.ended, Ok(Exit::Fine)));
    let lines = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let kinds: Vec<_> = lines
        .map(|line: serde_json::Value| line["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "job").count(), 3);
    assert_eq!(
        kinds.iter().filter(|kind| *kind == "dead_letter").count(),
        1
    );
    let none = ["events", "tail", "--timeout", "0s", "-o", "jsonl"];
    assert_eq!(env.run(&none).await.out, "", "only what comes from now on");
}
