//! Sessions of operators.

use std::time::Duration;

use operations::{AdminCommand, CommandResult, JobStore, NewSession};

use super::Subject;

const LIFETIME: Duration = Duration::from_secs(3600);

fn session(digest: &str, may_command: bool) -> NewSession {
    NewSession {
        digest: digest.to_owned(),
        token_fingerprint: format!("token of {digest}"),
        operator: "Ada".to_owned(),
        may_command,
        peer: "10.0.0.7".to_owned(),
        lifetime: LIFETIME,
    }
}

impl<S: JobStore> Subject<'_, S> {
    async fn open_sessions(&self) -> Vec<String> {
        let open = self.store.sessions().await.unwrap();
        open.into_iter().map(|session| session.digest).collect()
    }

    /// A session is found by its digest until it ends or expires, with everything it was opened
    /// with.
    pub async fn operator_session_is_found_until_it_ends_or_expires(&self) {
        assert_eq!(self.store.session("a").await.unwrap(), None);
        for (digest, may_command) in [("a", true), ("b", false)] {
            let new = session(digest, may_command);
            self.store.open_session(&new).await.unwrap();
            self.clock.advance(Duration::from_secs(60));
            let found = self.store.session(digest).await.unwrap().unwrap();
            assert_eq!(found.digest, new.digest);
            assert_eq!(found.token_fingerprint, new.token_fingerprint);
            assert_eq!(found.operator, new.operator);
            assert_eq!(found.may_command, may_command);
            assert_eq!(found.peer, new.peer);
            assert_eq!(found.expires_at.since(found.opened_at), LIFETIME);
        }
        assert_eq!(self.open_sessions().await, ["b", "a"]);
        for _ in 0..2 {
            self.store.end_session("b").await.unwrap();
            assert_eq!(self.store.session("b").await.unwrap(), None);
        }
        assert_eq!(self.open_sessions().await, ["a"]);
        self.clock.advance(LIFETIME);
        assert_eq!(self.store.session("a").await.unwrap(), None);
        assert!(self.open_sessions().await.is_empty());
        self.store.open_session(&session("a", false)).await.unwrap();
        self.store.open_session(&session("a", true)).await.unwrap();
        assert_eq!(self.open_sessions().await, ["a"]);
        let found = self.store.session("a").await.unwrap().unwrap();
        assert!(found.may_command);
    }

    /// Logins and logouts are entries of the audit log and change nothing else.
    pub async fn logins_are_audited(&self) {
        let peer = || "10.0.0.7".to_owned();
        let commands = [
            AdminCommand::LoginFailed { peer: peer() },
            AdminCommand::LogIn { peer: peer() },
            AdminCommand::LogOut { peer: peer() },
        ];
        for command in commands {
            let result = self.store.execute(&command, "Ada", "").await.unwrap();
            assert_eq!(result, CommandResult::Done);
        }
        let audit = self.store.audit(9).await.unwrap();
        let acts: Vec<_> = audit.iter().map(|entry| entry.act.as_str()).collect();
        assert_eq!(acts, ["logout", "login", "login_failed"]);
        assert!(audit.iter().all(|entry| entry.subject == "from 10.0.0.7"));
    }
}
