//! Which functions an event starts, by its name.

use std::collections::BTreeSet;

use super::Shard;
use crate::expr::Given;
use crate::function::FunctionSpec;
use crate::id::FunctionId;

/// Why a function's triggers cannot be used, in words for its author.
pub(super) fn refusal_of_triggers(spec: &FunctionSpec) -> Option<String> {
    spec.triggers.iter().find_map(|trigger| {
        let stem = trigger.strip_suffix('*').unwrap_or(trigger);
        let is_wildcard = stem.len() < trigger.len();
        let is_fine = !stem.is_empty()
            && !stem.contains('*')
            && (!is_wildcard || stem.ends_with(['/', '.']));
        (!is_fine).then(|| {
            format!(
                "function '{}': the trigger '{trigger}' is not an event's name; a wildcard is one '*' at \
                 the end, after '/' or '.', as in 'shop/*' or 'shop/order.*'",
                spec.name
            )
        })
    })
}

/// The triggers that match an event of this name: the name itself, then for each `/` and each `.` what
/// stands up to there with a `*`.
fn patterns(name: &str) -> impl Iterator<Item = String> {
    let wildcards = name
        .match_indices(['/', '.'])
        .filter_map(|(place, mark)| name.get(..place).map(|stem| format!("{stem}{mark}*")));
    std::iter::once(name.to_owned()).chain(wildcards)
}

impl Shard {
    /// The functions that an event starts, each once.
    pub(super) fn matching(&self, given: &Given<'_>) -> BTreeSet<FunctionId> {
        let mut found = BTreeSet::new();
        for pattern in patterns(given.event.name) {
            let routes = self.routes.get(&pattern).into_iter().flatten().copied();
            found.extend(routes.filter(|id| self.function(*id).program.is_met(&pattern, given)));
        }
        found
    }

    pub(super) fn rebuild_routes(&mut self) {
        self.routes.clear();
        for (function, id) in self.functions.iter().zip(0..) {
            let record = &function.record;
            for trigger in record.spec.triggers.iter().filter(|_| !record.is_archived) {
                self.routes.entry(trigger.clone()).or_default().push(FunctionId(id));
            }
        }
        self.rebuild_listeners();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference server's table (its `TestGenerateMatchingPatterns`).
    #[test]
    fn patterns_follow_the_reference() {
        let of = |name: &str| patterns(name).collect::<Vec<_>>();
        assert_eq!(of("app/user.created"), ["app/user.created", "app/*", "app/user.*"]);
        assert_eq!(of("api/v1/users"), ["api/v1/users", "api/*", "api/v1/*"]);
        assert_eq!(of("simple"), ["simple"]);
    }

    #[test]
    fn a_star_elsewhere_than_behind_a_slash_or_dot_is_refused() {
        let refused = |trigger: &str| {
            let mut spec = FunctionSpec::new("a", "f");
            spec.triggers = vec![trigger.to_owned()];
            refusal_of_triggers(&spec).is_some()
        };
        assert!(["*", "a*", "a/*b", "a/**", "", "*/a"].into_iter().all(refused));
        assert!(!["a/*", "a.b.*", "a"].into_iter().any(refused));
    }
}
