//! The people of demo and scenarios. Each has a client certificate (CN = name, O = groups) and a kubeconfig.

/// A user of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user name that the API server sees.
    pub name: &'static str,
    /// The groups that the API server sees.
    pub groups: &'static [&'static str],
    /// What the person does, for people who read a transcript.
    pub title: &'static str,
}

/// Everybody. `admin` is in `system:masters` and passes every authorizer: it is for setting up and looking, never for
/// showing what somebody may do. `root-admin` holds `cluster-admin` by a `ClusterRoleBinding`, as real administrators do.
pub const PEOPLE: &[Person] = &[
    Person { name: "admin", groups: &["system:masters"], title: "sets the cluster up" },
    Person { name: "root-admin", groups: &[], title: "cluster administrator" },
    Person { name: "dana", groups: &["data-science"], title: "data scientist" },
    Person { name: "alice", groups: &["data-science"], title: "data scientist" },
    Person { name: "bob", groups: &["model-owners"], title: "model owner" },
    Person { name: "vera", groups: &["validators"], title: "independent validator" },
    Person { name: "erin", groups: &["risk-officers"], title: "risk officer" },
    Person { name: "sam", groups: &["security-officers"], title: "security officer" },
    Person { name: "lena", groups: &["legal"], title: "legal counsel" },
    Person { name: "piet", groups: &["privacy-officers"], title: "privacy officer" },
    Person { name: "frank", groups: &["executives"], title: "executive" },
    Person { name: "audrey", groups: &["auditors"], title: "auditor" },
    Person { name: "rosa", groups: &[], title: "stands in for a role and gives it back" },
    Person { name: "mallory", groups: &[], title: "editor of one namespace, without any role" },
];

/// The person of that name, if there is one.
pub fn person(name: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_only_admin_is_a_master() {
        for (index, one) in PEOPLE.iter().enumerate() {
            assert!(
                PEOPLE[index + 1..].iter().all(|other| other.name != one.name),
                "{} is there twice",
                one.name
            );
            assert_eq!(one.groups.contains(&"system:masters"), one.name == "admin", "{}", one.name);
        }
    }
}
