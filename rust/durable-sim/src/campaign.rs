//! Many worlds one after the other, and what they came to together.

use crate::mistake::Mistake;
use crate::model::DECISIONS;
use crate::tally::Tally;
use crate::world::{Finding, Outcome, run, run_dense};

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
        self.take(run(seed, mistake, false));
    }

    /// Runs one more world, without a mistake.
    pub fn go_on_usual(&mut self, seed: u64) {
        self.go_on(seed, None);
    }

    /// Runs one more of the worlds that are about flow control.
    pub fn go_on_dense(&mut self, seed: u64) {
        self.take(run_dense(seed, None, false));
    }

    /// How many decisions of flow control were compared with the model's.
    pub fn decisions(&self) -> u64 {
        self.tally.count(DECISIONS)
    }

    fn take(&mut self, outcome: Result<Outcome, Finding>) {
        self.seeds = self.seeds.saturating_add(1);
        match outcome {
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

    /// Runs worlds about flow control, `from`, `from + 1` and so on, until they have decided so often.
    pub fn of_decisions(from: u64, count: u64) -> Self {
        let mut campaign = Self::default();
        let mut seeds = from..;
        while campaign.decisions() < count
            && campaign.findings.is_empty()
            && let Some(seed) = seeds.next()
        {
            campaign.go_on_dense(seed);
        }
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
