//! What was measured: tables to read, JSON for a program, and the picture.

use crate::{Outcome, options::Options, peers::About, picture, targets::Target, turns::Row};
use serde::Serialize;

/// Everything that came out.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    servers: Vec<About>,
    rows: Vec<Row>,
    targets: Vec<Target>,
}

impl Report {
    /// Prints who takes part, and the head of the table of what they reach.
    pub fn introduce<'a>(&mut self, servers: impl Iterator<Item = &'a About>) {
        self.servers = servers.cloned().collect();
        println!("\n| server | version | durability | how |\n|---|---|---|---|");
        for About { name, version, durability, how } in &self.servers {
            println!("| {name} | {version} | {durability} | {how} |");
        }
        println!(
            "\n| {:<17} | {:<16} | {:>5} | {:>7} | {:>8} | {:>8} | {:>8} | {:>6} | {:<23} | {:<8} | {:<8} | durability |",
            "workload",
            "server",
            "conns",
            "ops/s",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "CPU µs",
            "octostore/it: ops/s",
            "p50",
            "CPU",
        );
        println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|");
    }

    /// Prints and keeps `rows`.
    pub fn add(&mut self, rows: Vec<Row>) {
        for row in &rows {
            let numbers = row.measurement;
            let (rate, p50, cpu) = row.octostore_over_it.map_or_else(Default::default, |ratios| {
                let rate = ratios.rate;
                (
                    format!("{:.2} ({:.2} to {:.2})", rate.median, rate.low, rate.high),
                    format!("{:.2}", ratios.p50.median),
                    format!("{:.2}", ratios.cpu.median),
                )
            });
            println!(
                "| {:<17} | {:<16} | {:>5} | {:>7.0} | {:>8.0} | {:>8.0} | {:>8.0} | {:>6.1} | {rate:<23} | {p50:<8} | {cpu:<8} | {} |",
                row.workload.name(),
                row.server,
                row.connections,
                numbers.rate,
                numbers.p50,
                numbers.p99,
                numbers.p999,
                numbers.cpu,
                row.durability,
            );
        }
        self.rows.extend(rows);
    }

    /// What was measured in turns.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Keeps how things stand to their targets.
    pub fn judge(&mut self, targets: Vec<Target>) {
        self.targets.extend(targets);
    }

    /// Prints how everything stands to its target, and writes the files.
    pub fn finish(mut self, options: &Options) -> Outcome<()> {
        if options.quick {
            // Short and small: that says nothing.
            self.targets.iter_mut().for_each(|target| target.met = None);
        }
        if !self.targets.is_empty() {
            println!("\n| workload | target | measured | met |\n|---|---|---|---|");
        }
        for Target { workload, target, measured, met } in &self.targets {
            let met = met.map_or("not judged", |met| if met { "yes" } else { "no" });
            println!("| {workload} | {target} | {measured} | {met} |");
        }
        std::fs::create_dir_all(&options.out)?;
        let json = options.out.join("compare.json");
        std::fs::write(&json, serde_json::to_string_pretty(&self)?)?;
        println!("\nthe numbers: {}", json.display());
        if let Some(svg) = picture::of(&self.rows) {
            let file = options.out.join("compare.svg");
            std::fs::write(&file, svg)?;
            println!("the picture: {}", file.display());
        }
        Ok(())
    }
}
