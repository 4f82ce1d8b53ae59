//! What can be read without doing anything.

use clap::{Command, CommandFactory};
use orderctl::Cli;

fn walk(path: &str, command: &Command, visit: &mut impl FnMut(&str, &Command)) {
    visit(path, command);
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        walk(&format!("{path} {}", verb.get_name()), verb, visit);
    }
}

#[test]
fn help_of_every_command_has_example() {
    let mut commands = 0;
    let mut whole = Cli::command();
    whole.build();
    walk("orderctl", &whole, &mut |path, command| {
        commands += 1;
        let help = command.clone().render_long_help().to_string();
        let (_, example) = help
            .split_once("Example:\n")
            .unwrap_or_else(|| panic!("`{path} --help` has no example"));
        assert!(
            example.contains(path),
            "the example of `{path}` is of something else: {example}"
        );
    });
    assert!(commands > 25, "{commands} commands");
}

#[test]
fn command_definitions_are_valid() {
    Cli::command().debug_assert();
}
