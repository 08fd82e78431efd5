//! A run whose chaos did not take place fails.

use super::world::Backend;
use super::{run, run_script};

/// Makes `$1` calls through the proxy. Any bytes count as a reply.
const CALLS: &str = r#"for i in $(seq "$1"); do exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf 'get a\r\n' >&3; head -c 3 <&3 >/dev/null; exec 3>&-; done"#;

fn calls(backend: &Backend, options: &str, number: u32) -> super::Ran {
    run(backend, options, &["bash", "-c", CALLS, "calls", &number.to_string()])
}

#[test]
fn an_expectation_that_is_met_passes() {
    let backend = Backend::lines();
    let options =
        "--protocol redis --handler error --expect error>=3 --expect calls==3,connections=3 --expect default.error<4";
    calls(&backend, options, 3).ends(0);
}

#[test]
fn each_unmet_expectation_is_a_line() {
    let backend = Backend::lines();
    let options =
        "--protocol redis --handler 0.001:error --seed 1 --expect error>=1 --expect dummy==2 --expect calls>5";
    let ran = calls(&backend, options, 2).ends(3);
    ran.says("expected error>=1: NOT met, 0").says("expected calls>5: NOT met, 2").says("expected dummy==2: met, 2");
}

#[test]
fn an_expectation_that_cannot_be_met_is_an_error() {
    let backend = Backend::lines();
    let wrong = |expected: &str| run_script(&backend, &format!("--expect {expected}"), "true").ends(125);
    wrong("eror>=1").says("--expect: `eror>=1`: unknown handler or count `eror`").says_again("did you mean `error`?");
    wrong("cache.error>=1").says("unknown proxy or rule `cache` (known: default)");
    wrong("error").says("invalid expectation `error`: write `error>=1`");
    wrong("error>=many").says("invalid expectation");
    wrong("delay>=1").says("--expect: `delay>=1` cannot be met: `delay` is not in `dummy`");
    // An upper limit can be met.
    run_script(&backend, "--expect delay==0", "true").ends(0);
    // With the API, the mix may change.
    run_script(&backend, "--http --expect delay>=1", "true").ends(3);
}

#[test]
fn an_entry_of_a_mix_is_counted_by_its_name() {
    let backend = Backend::lines();
    let mix = "--protocol redis --handler wait=delay(sleep=1ms) --expect";
    calls(&backend, &format!("{mix} wait==2"), 2).ends(0).says("wait");
    calls(&backend, &format!("{mix} wait>=3"), 2).ends(3).says("expected wait>=3: NOT met, 2");
    let ran = calls(&backend, &format!("{mix} wiat>=1"), 1).ends(125);
    ran.says("unknown handler or count `wiat`").says_again("did you mean `wait`?");
}

#[test]
fn a_handler_without_faults_is_a_warning() {
    let backend = Backend::lines();
    let ran = calls(&backend, "--protocol redis --handler 0.001:hang,1:dummy --seed 1", 2).ends(0);
    ran.says("warning: `hang` injected no fault: drawn for none of 2 calls, which at 0.001% happens in more than 99.9% of runs");
    let ran = calls(&backend, "--protocol redis --handler 0.001:hang --seed 1 --expect hang>=1", 2).ends(3);
    ran.says("expected hang>=1: NOT met, 0; `hang` injected no fault: drawn for none of 2 calls")
        .never_says("warning: ");
    let ran = calls(&backend, "--protocol redis --handler error --handler-error-warmup 9 --seed 1", 2).ends(0);
    ran.says("warning: `error` injected no fault: drawn for 2 of 2 calls, warmup=9 let them all pass");
    let mix = "--protocol redis --handler 0.001:hang,0.001:error,99:late=error(warmup=3) --seed 1";
    calls(&backend, mix, 2)
        .ends(0)
        .says("warning: `late` injected no fault: drawn for 2 of 2 calls, warmup=3 let them all pass");
    run_script(&backend, "--handler dummy", "true").ends(0).never_says("warning: ");
    calls(&backend, "--protocol redis --handler error", 1).ends(0).never_says("warning: ");
}

impl super::Ran {
    #[track_caller]
    fn says_again(self, text: &str) {
        let _ = self.says(text);
    }
}
