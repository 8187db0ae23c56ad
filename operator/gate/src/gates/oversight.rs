//! Gate *oversight*: somebody competent watches the system and may stop it, how it is stopped is written down, and stopping
//! it was practised not too long ago.

use placet_api::aisystem::{AISystemSpec, Oversight, OversightMode};
use placet_api::lifecycle::OversightPart;

use super::{Context, Outcome};
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::time;
use crate::visible::blank;

const GATE: Gate = Gate::Oversight;
const WHO: &str = "system owner";

/// Judges the oversight plan of the system; None if no policy asks for one.
pub fn evaluate(cx: &Context<'_>) -> Option<Outcome> {
    let asked = cx.requirements?.life_cycle.oversight.as_ref()?;
    let (system, spec) = cx.system?;
    let mut out = Outcome::default();
    let edit = cx.command(&format!("kubectl edit ais/{}", system.name()));
    let Some(plan) = &spec.oversight else {
        out.not_met(
            GATE,
            Reason::OversightMissing,
            system.name(),
            format!("spec.oversight of {}, which {} asks for", system.name(), cx.policy_names()),
            "there is no plan",
            WHO,
            edit,
        );
        return Some(out);
    };
    if plan.mode == OversightMode::Autonomous {
        lacks(
            cx,
            "mode",
            "a mode in which somebody watches: HumanInTheLoop, HumanOnTheLoop or HumanInCommand",
            "Autonomous: nobody watches",
            &edit,
            &mut out,
        );
    }
    let said = |text: Option<&str>| text.is_some_and(|t| !blank(t));
    if !said(plan.stop_procedure.as_deref()) {
        lacks(
            cx,
            "stopProcedure",
            "how the system is stopped or rolled back",
            "it is not said",
            &edit,
            &mut out,
        );
    }
    overseers(cx, plan, asked.overseers, &edit, &mut out);
    for part in &asked.parts {
        let (field, wanted, there) = match part {
            OversightPart::OverrideProcedure => (
                "overrideProcedure",
                "how a single result is disregarded or overridden",
                said(plan.override_procedure.as_deref()),
            ),
            OversightPart::AppealChannel => (
                "appealChannel",
                "where whoever is affected contests a decision",
                said(plan.appeal_channel.as_deref()),
            ),
            OversightPart::DrillReport => {
                ("drillReport", "the report on the last stop drill, by digest", plan.drill_report.is_some())
            }
        };
        if !there {
            lacks(cx, field, wanted, "it is not there", &edit, &mut out);
        }
    }
    if let Some(days) = asked.drill_max_age_days {
        drill(cx, (system, spec), plan, days, &mut out);
    }
    Some(out)
}

fn overseers(cx: &Context<'_>, plan: &Oversight, least: i32, edit: &str, out: &mut Outcome) {
    let counted: Vec<_> =
        plan.overseers.iter().flatten().filter(|o| !blank(&o.function) && !blank(&o.competence)).collect();
    let (have, need) = (counted.len(), usize::try_from(least).unwrap_or(usize::MAX));
    if have < need {
        lacks(
            cx,
            "overseers",
            &format!(
                "at least {need} overseer{} with function and competence",
                if need == 1 { "" } else { "s" }
            ),
            &have.to_string(),
            edit,
            out,
        );
    }
    if have > 0 && !counted.iter().any(|o| o.may_stop) {
        lacks(cx, "overseers.mayStop", "an overseer who may stop the system", "none may", edit, out);
    }
}

/// The plan lacks something.
fn lacks(cx: &Context<'_>, field: &str, wanted: &str, found: &str, edit: &str, out: &mut Outcome) {
    out.not_met(
        GATE,
        Reason::OversightIncomplete,
        field,
        format!("spec.oversight.{field}: {wanted}, which {} asks for", cx.policy_names()),
        found,
        WHO,
        edit,
    );
}

fn drill(
    cx: &Context<'_>,
    (system, spec): (&Object<AISystemSpec>, &AISystemSpec),
    plan: &Oversight,
    days: i32,
    out: &mut Outcome,
) {
    let edit = cx.command(&format!(
        "practise stopping {}, then set spec.oversight.lastDrill: kubectl edit ais/{}",
        spec.title,
        system.name()
    ));
    let wanted = format!("a stop drill of at most {days} days, which {} asks for", cx.policy_names());
    let typed = plan.last_drill.as_ref();
    let at = typed.filter(|t| cx.now.has_come(t) == Some(true)).and_then(time::moment);
    let Some(at) = at else {
        let found = match typed {
            None => "none is recorded".to_owned(),
            Some(t) if time::moment(t).is_none() => format!("{t}, which is no day"),
            Some(t) => format!("{t}, which is still to come"),
        };
        out.not_met(GATE, Reason::DrillMissing, system.name(), wanted, found, WHO, edit)
            .about([days.to_string()].into_iter().chain(typed.map(ToString::to_string)));
        return;
    };
    if cx.now.reached(time::days_after(at, days)) {
        let found = format!("the last one was on {}", time::day(at));
        out.not_met(GATE, Reason::DrillStale, system.name(), wanted, found, WHO, edit)
            .about([days.to_string(), at.to_string()]);
    } else {
        out.notes.push(format!("last stop drill: {}", time::day(at)));
    }
}
