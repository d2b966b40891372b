//! Many worlds one after the other, and what they came to together.

use crate::mistake::Mistake;
use crate::tally::Tally;
use crate::world::{Finding, run};

/// What a campaign came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Campaign {
    /// Worlds run.
    pub seeds: u64,
    /// Turns over all of them.
    pub turns: u64,
    /// What happened in them.
    pub tally: Tally,
    /// What should not be.
    pub findings: Vec<Finding>,
}

impl Campaign {
    /// Runs one more world.
    pub fn go_on(&mut self, seed: u64, mistake: Option<Mistake>) {
        self.seeds = self.seeds.saturating_add(1);
        match run(seed, mistake, false) {
            Ok(outcome) => {
                self.turns = self.turns.saturating_add(outcome.turns);
                self.tally.join(&outcome.tally);
            }
            Err(finding) => self.findings.push(finding),
        }
    }

    /// Runs worlds `from`, `from + 1` and so on, `count` of them.
    pub fn of(from: u64, count: u64) -> Self {
        let mut campaign = Self::default();
        (from..from.saturating_add(count)).for_each(|seed| campaign.go_on(seed, None));
        campaign
    }

    /// The whole of it as one JSON object.
    pub fn to_json(&self) -> String {
        let counts: Vec<String> =
            self.tally.all().map(|(what, count)| format!("    \"{what}\": {count}")).collect();
        let findings: Vec<String> = self
            .findings
            .iter()
            .map(|f| {
                format!(
                    "    {{\"seed\": {}, \"turn\": {}, \"what\": {:?}}}",
                    f.seed, f.turns, f.what
                )
            })
            .collect();
        let list = |open: char, items: &[String], close: char| {
            let inside = items.join(",\n");
            if items.is_empty() {
                format!("{open}{close}")
            } else {
                format!("{open}\n{inside}\n  {close}")
            }
        };
        format!(
            "{{\n  \"seeds\": {},\n  \"turns\": {},\n  \"happened\": {},\n  \"findings\": {}\n}}",
            self.seeds,
            self.turns,
            list('{', &counts, '}'),
            list('[', &findings, ']')
        )
    }
}
