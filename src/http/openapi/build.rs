//! Puts the OpenAPI document together: the pieces in this folder, one after the other, as YAML; and
//! the same as JSON. What is no YAML does not build.

use std::{env, error::Error, fs, path::Path};

/// The pieces, in their order. A new domain adds one of its paths and one of its schemas.
const PIECES: &[&str] = &[
    "head",
    "paths/locks",
    "paths/limits",
    "paths/flags",
    "paths/config",
    "paths/config_versions",
    "paths/tokens",
    "paths/oauth",
    "paths/device",
    "paths/sign_in",
    "paths/admin",
    "paths/admin_changes",
    "paths/audit",
    "paths/backup",
    "paths/dashboard",
    "paths/system",
    "components/security",
    "components/parameters",
    "components/headers",
    "components/responses",
    "components/pages",
    "components/schemas",
    "components/locks",
    "components/limits",
    "components/flags",
    "components/config",
    "components/accounts",
    "components/sign_in",
    "components/session",
    "components/admin",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("src/http/openapi");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut yaml = String::new();
    for piece in PIECES {
        yaml += &fs::read_to_string(folder.join(piece).with_extension("yaml"))?;
    }
    let yaml = yaml.replace("{version}", &env::var("CARGO_PKG_VERSION")?);
    let document: serde_json::Value = serde_saphyr::from_str(&yaml)?;
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("openapi.yaml"), yaml)?;
    fs::write(Path::new(&out).join("openapi.json"), serde_json::to_vec(&document)?)?;
    Ok(())
}
