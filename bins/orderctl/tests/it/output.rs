//! JSON is a contract: keys are only ever added to. The snapshots show all of it.

use insta::assert_json_snapshot;

use crate::test_env::TestEnv;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_list_prints_json() {
    let env = TestEnv::new().await;
    let all = env.json(&["orders", "list"]).await;
    assert_json_snapshot!(all);
    let failed = ["--state", "failed", "--code", "ORDER_EMPTY"];
    let failed = [&["orders", "list"], &failed[..]].concat();
    assert_eq!(
        env.json(&failed).await.as_array().unwrap(),
        &[all[1].clone()]
    );
    let found = ["orders", "list", "--search", "41"];
    assert_eq!(env.json(&found).await[0]["number"], "00000001");
    let lines = env
        .run(&["orders", "list", "-o", "jsonl", "--limit", "2"])
        .await;
    assert_eq!(lines.out.lines().count(), 2);
    assert!(lines.err.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_show_prints_json_with_jobs_and_timeline() {
    let env = TestEnv::new().await;
    let shown = env.json(&["orders", "show", "00000002"]).await;
    assert_json_snapshot!(shown);
    let job = shown["jobs"][0]["job"].as_str().unwrap();
    let alone = env.json(&["jobs", "show", job]).await;
    assert_eq!(alone, shown["jobs"][0]);
    let listed = env.json(&["jobs", "list", "--state", "failed"]).await;
    assert_eq!(listed, shown["jobs"]);
    let table = env.run(&["orders", "show", "00000002"]).await;
    assert!(table.out.contains("to do:"), "{}", table.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_gaps_and_cursor_print_json() {
    let env = TestEnv::new().await;
    for words in [
        ["events", "dead-letters"],
        ["events", "gaps"],
        ["cursor", "show"],
    ] {
        assert_json_snapshot!(words.join("-"), env.json(&words).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn db_status_prints_json() {
    let env = TestEnv::new().await;
    let mut status = env.json(&["db", "status"]).await;
    let applied = status.as_object_mut().unwrap().remove("applied").unwrap();
    let applied: Vec<i64> = serde_json::from_value(applied).unwrap();
    assert!(applied.starts_with(&[1, 2, 3]) && applied.is_sorted());
    let store = status.as_object_mut().unwrap().remove("store");
    assert_eq!(store.unwrap(), env.url());
    status.sort_all_objects();
    assert_json_snapshot!(status);
}
