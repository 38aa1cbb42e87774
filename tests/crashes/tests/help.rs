//! The program explains itself.

#[test]
fn every_attack_is_in_the_help() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_octostore-crashes"))
        .arg("--help")
        .output()
        .unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for attack in ["kill", "power", "faults", "full", "damage", "clock", "controls"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(attack)), "{attack}: {text}");
    }
}
