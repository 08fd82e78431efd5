//! A command that succeeds fails the run if no call could meet the faults that were asked for.

use std::fs;

use super::world::{Backend, File};
use super::{Program, Ran, run, run_script};

/// Sends `$1`, with escapes as in `printf`, and waits until the proxy or the backend answers or closes.
const SEND: &str =
    r#"exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf "$1" >&3; head -c 1 <&3 >/dev/null"#;

pub(super) fn sends(options: &str, bytes: &str) -> Ran {
    run(&Backend::echo(), options, &["bash", "-c", SEND, "send", bytes])
}

/// The beginning of a TLS handshake.
const TLS: &str = r"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn without_a_connection_the_run_fails() {
    let backend = Backend::lines();
    let why = "expected calls>=1: NOT met, 0; handler 50:error met no call: no connections, the command finds the \
               proxy's address in VAURIEN_PROXY; if this run is meant to make no calls, add --allow-no-calls";
    run_script(&backend, "--handler 50:error", "true").ends(3).says(why);
    // The command's own failure comes first.
    run_script(&backend, "--handler 50:error", "exit 9").ends(9).says(why);
    let json = run_script(&backend, "--handler error --log-format json", "true").ends(3);
    json.says("expected calls>=1: NOT met, 0; handler error met no call");
    for no_chaos in ["--handler dummy", "--handler 0:error", "--handler 0:delay,0:hang"] {
        run_script(&backend, no_chaos, "true").ends(0).never_says("expected");
    }
}

#[test]
fn it_can_be_taken_back() {
    let backend = Backend::lines();
    for taken_back in ["--allow-no-calls", "--expect calls>=0", "--expect default.calls>=0", "--expect calls==0"] {
        run_script(&backend, &format!("--handler error {taken_back}"), "true").ends(0).never_says("NOT met");
    }
    run_script(&backend, "--handler error --expect calls<=40", "true").ends(3).says("calls>=1: NOT met");
}

#[test]
fn an_expectation_that_is_unmet_for_that_reason_says_it() {
    let ran = run_script(&Backend::lines(), "--handler error --expect error>0", "true").ends(3);
    ran.says("expected error>0: NOT met, 0; no connections, the command finds").never_says("calls>=1");
}

#[test]
fn a_connection_without_a_call_is_no_call() {
    let connect = r#"exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT""#;
    let ran = run(&Backend::lines(), "--protocol http --handler error", &["bash", "-c", connect]).ends(3);
    ran.says("handler error met no call: 1 of 1 connection made no call; if");
}

#[test]
fn other_protocols_are_named_with_what_to_do() {
    for (protocol, bytes, named) in [
        (
            "http",
            TLS,
            "TLS, which --protocol http cannot read: speak it to clients, with --tls auto, or use --protocol tcp",
        ),
        ("redis", TLS, "TLS, which --protocol redis cannot read: speak it to clients"),
        ("memcache", TLS, "TLS, which --protocol memcache cannot read: speak it to clients"),
        (
            "redis",
            r"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "HTTP/2, which --protocol redis cannot read: use --protocol http, or grpc",
        ),
        (
            "http",
            r"*1\r\n$4\r\nPING\r\n",
            "RESP, the protocol of Redis, which --protocol http cannot read: use --protocol redis",
        ),
        (
            "redis",
            r"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP, which --protocol redis cannot read: use --protocol http",
        ),
        (
            "memcache",
            r"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP, which --protocol memcache cannot read: use --protocol http",
        ),
        (
            "http",
            r"\x00\x00\x00\x08\x04\xd2\x16\x2f",
            "PostgreSQL, which --protocol http cannot read: use --protocol tcp",
        ),
        ("http", r"SSH-2.0-OpenSSH_9.7\r\n", "SSH, which --protocol http cannot read: use --protocol tcp"),
    ] {
        let ran = sends(&format!("--protocol {protocol} --handler error --seed 1"), bytes).ends(3);
        let ran = ran.says(&format!("handler error met no call: 1 of 1 connection is {named}"));
        ran.says(&format!("INFO opaque from here on, handlers no longer act: {named}"))
            .says(&format!("1 opaque: {named}"));
    }
}

#[test]
fn a_backend_without_http_2_is_told_with_what_it_speaks() {
    let preface = r"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let alert = answers(b"\x15\x03\x01\0\x02\x02\x46");
    // The proxy resets its connection.
    let send = format!("{SEND}; true");
    let ran = run(&alert, "--protocol http --rule /pay=>error", &["bash", "-c", &send, "send", preface]).ends(3);
    ran.says("1 of 1 connection did not reach the backend")
        .says(": it does not speak HTTP/2, but TLS: add --backend-tls");
}

/// Answers each line with these bytes.
pub(super) fn answers(reply: &'static [u8]) -> Backend {
    use std::io::{BufRead, BufReader, Write};
    Backend::new(move |client| {
        let mut to = client.try_clone().unwrap();
        for _ in BufReader::new(client).lines().map_while(Result::ok) {
            if to.write_all(reply).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_run_whose_connections_are_all_opaque_fails_although_there_were_calls() {
    let get = ["bash", "-c", SEND, "send", r"get x\r\n"];
    for (reply, protocol, named) in [
        (&b"END\r\n"[..], "redis", "is memcached, which --protocol redis cannot read: use --protocol memcache"),
        (b"STORED\r\n", "redis", "is memcached, which --protocol redis cannot read: use --protocol memcache"),
        (
            b"$-1\r\n",
            "memcache",
            "is RESP, the protocol of Redis, which --protocol memcache cannot read: use --protocol redis",
        ),
        (b"hello\r\n", "redis", "turned opaque: "),
    ] {
        let ran = run(&answers(reply), &format!("--protocol {protocol} --handler slow"), &get).ends(3);
        ran.says("expected faults>=1: NOT met, 0; handler slow injected no fault: 1 of 1 connection")
            .says(&format!("1 of 1 connection {named}"))
            .says("; if this run is meant to have no faults, add --allow-no-calls")
            .never_says("warning: ");
    }
    let options = "--protocol redis --handler slow";
    for taken_back in ["--allow-no-calls", "--expect calls>=0", "--expect faults>=0", "--expect faults==0"] {
        run(&answers(b"END\r\n"), &format!("{options} {taken_back}"), &get).ends(0).never_says("NOT met");
    }
    let ran = run(&answers(b"END\r\n"), &format!("{options} --expect slow>=1"), &get).ends(3);
    ran.says("expected slow>=1: NOT met, 0; 1 of 1 connection is memcached").never_says("faults>=1");
    // What nobody asked for cannot be missed, and a fault that took place is enough.
    run(&answers(b"END\r\n"), "--protocol redis --handler dummy", &get).ends(0);
    run(&answers(b"END\r\n"), "--protocol redis --handler delay(sleep=1ms)", &get).ends(0);
}

#[test]
fn a_server_that_speaks_first_is_named() {
    let mysql = Backend::new(|mut client| {
        use std::io::{Read, Write};
        let _ = client.write_all(b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0");
        let _ = client.read(&mut [0]);
    });
    let ran = run(&mysql, "--protocol redis --handler error", &["bash", "-c", SEND, "send", ""]).ends(3);
    ran.says("1 of 1 connection is MySQL, which --protocol redis cannot read: use --protocol tcp");
}

#[test]
fn a_reason_is_logged_once_and_counted() {
    let twice = format!("{SEND}; exec 3>&-; {SEND}");
    let ran = run(&Backend::echo(), "--protocol http --handler error", &["bash", "-c", &twice, "send", TLS]).ends(3);
    assert_eq!(ran.stderr.matches("opaque from here on").count(), 1, "{ran:#?}");
    ran.says("2 of 2 connections are TLS").says("2 opaque: TLS");
    let other = run(&Backend::echo(), "--protocol http --handler error", &["bash", "-c", SEND, "send", r"\x01\r\n"]);
    other.ends(3).says("1 of 1 connection turned opaque: ");
}

#[test]
fn with_tcp_there_is_nothing_that_cannot_be_read() {
    sends("--protocol tcp --handler error", TLS).ends(0).never_says("NOT met");
}

#[test]
fn each_proxy_is_judged_alone_and_reports_have_it() {
    let backend = Backend::lines();
    let at = backend.address();
    let folder = tempfile::tempdir().unwrap();
    let file = File::new(format!(
        "[proxies.cache]\nbackend = \"{at}\"\nhandler = \"error\"\n[proxies.api]\nbackend = \"{at}\"\nhandler = \"error\"\n\
         [proxies.plain]\nbackend = \"{at}\"\n"
    ));
    let call = SEND.replace("$VAURIEN_PROXY_", "$VAURIEN_PROXY_CACHE_");
    let ran = |options: &str| {
        let mut vaurien = Program::command(&format!("--config {} {options}", file.path().display()));
        Ran::from(vaurien.args(["--", "bash", "-c", &call, "send", "a\r\n"]).output().unwrap())
    };
    let [json, junit, page] = ["a.json", "a.xml", "a.html"].map(|name| folder.path().join(name));
    let reports = [&json, &junit, &page].map(|path| format!("--report {}", path.display())).join(" ");
    let why = "handler error met no call: no connections, the command finds the proxy's address in VAURIEN_PROXY_API";
    ran(&reports).ends(3).says(&format!("expected api.calls>=1: NOT met, 0; {why}")).never_says("expected cache");
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let expectation = &report["runs"][0]["expectations"][0];
    assert_eq!((&expectation["expectation"], &expectation["met"]), (&"api.calls>=1".into(), &false.into()));
    assert!(expectation["why"].as_str().unwrap().starts_with(why), "{report}");
    let junit = fs::read_to_string(junit).unwrap();
    assert!(junit.contains(r#"failures="1""#) && junit.contains("met no call"), "{junit}");
    assert!(fs::read_to_string(page).unwrap().contains("met no call"));
    ran("--expect api.calls>=0").ends(0);
    ran("--expect cache.calls>=0").ends(3);
}

#[test]
fn toxics_are_chaos_as_well() {
    let backend = Backend::lines();
    let toxic = "--toxic limit_data(bytes=1000)";
    run_script(&backend, toxic, "true").ends(3).says(
        "expected connections>=1: NOT met, 0; a toxic met no connection: no connections, the command finds the proxy's address in \
         VAURIEN_PROXY; if this run is meant to make no connections, add --allow-no-calls",
    );
    run_script(&backend, &format!("{toxic} --allow-no-calls"), "true").ends(0).never_says("NOT met");
    run_script(&backend, &format!("{toxic} --expect connections>=0"), "true").ends(0).never_says("NOT met");
    run_script(&backend, "--toxic noop", "true").ends(0).never_says("expected");
    run_script(&backend, "--toxic latency(latency=1ms,toxicity=0)", "true").ends(0).never_says("expected");
    let call = |options: &str| run(&backend, options, &["bash", "-c", SEND, "send", r"a\n"]);
    let idle = call(toxic).ends(0);
    idle.says("warning: toxic `limit_data_downstream` did nothing: limit_data(bytes=1KB)");
    // Not each toxic of a profile.
    call("--profile wifi --seed 1").ends(0).says("toxic loss_downstream: 0 faults").never_says("warning");
    let late = "--toxic slow=latency(latency=1ms) --expect slow==1 --expect faults==1";
    let acted = call(late).ends(0);
    acted.says("toxic slow: 1 fault on 1 connection").says("expected slow==1: met, 1").never_says("did nothing");
    let unknown = call("--toxic latency(latency=1ms) --expect lag==1").ends(125);
    unknown.says("unknown handler or count `lag`").says("latency_downstream");
}

/// Runs `script` beside Toxiproxy's API, of which it knows the client as `cli`.
fn beside_toxiproxy(backend: &Backend, options: &str, script: &str) -> Ran {
    let cli = r#"export TOXIPROXY_URL=http://$VAURIEN_TOXIPROXY; cli() { (exec -a toxiproxy-cli "$0" "$@"); }"#;
    let script = format!("{cli}\nset -e\n{}", script.replace("BACKEND", &backend.address().to_string()));
    let mut vaurien = Program::command(&format!("--toxiproxy localhost:0 {options}"));
    Ran::from(vaurien.args(["--", "bash", "-c", &script, env!("CARGO_BIN_EXE_vaurien")]).output().unwrap())
}

#[test]
fn what_the_api_makes_can_be_named_and_is_told_if_it_did_nothing() {
    let backend = Backend::lines();
    let make = "cli create -l localhost:0 -u BACKEND px
        port=$(cli list | grep -o '127.0.0.1:[0-9]*' | head -n 1 | cut -d: -f2)
        call() { exec 3<>/dev/tcp/127.0.0.1/$port; echo a >&3; read -r <&3; exec 3>&-; }";
    let add = |milliseconds: u32| format!("{make}\ncli toxic add -t latency -a latency={milliseconds} px; call");
    let acted = beside_toxiproxy(&backend, "--expect px.latency_downstream==1 --expect faults==1", &add(1)).ends(0);
    acted.says("expected px.latency_downstream==1: met, 1").never_says("warning");
    let idle = beside_toxiproxy(&backend, "--expect latency_downstream>=1", &add(0)).ends(3);
    idle.says("warning: px: toxic `latency_downstream` did nothing: latency(latency=0)").says("NOT met, 0");
    let typo = beside_toxiproxy(&backend, "--expect nope.faults<=1 --expect latncy==0", &add(1)).ends(0);
    typo.says("warning: nope.faults<=1: nothing was called `nope`").says("latncy==0: nothing was called `latncy`");
    beside_toxiproxy(&backend, "", "true").ends(0).says("warning: no proxy was made, so nothing could fail");
}

/// Runs `script` beside the API, of which it knows the client as `ctl`, and the proxy as `call`.
fn beside_api(options: &str, script: &str) -> Ran {
    let call = SEND.replace("\"$1\"", "'a\\n'");
    let script = format!("ctl() {{ \"$0\" ctl \"$@\"; }}\ncall() {{ {call}; exec 3>&-; }}\nset -e\n{script}");
    let backend = Backend::lines();
    let mut vaurien = Program::command(&format!("--http --http-host 127.0.0.1 --http-port 0 {options}"));
    vaurien.args(["--backend", &backend.address().to_string(), "--proxy", "127.0.0.1:0"]);
    Ran::from(vaurien.args(["--", "bash", "-c", &script, env!("CARGO_BIN_EXE_vaurien")]).output().unwrap())
}

#[test]
fn a_name_that_is_gone_is_no_unknown_one() {
    let gone = "ctl toxic remove far; ctl rule remove rule-1; ctl handler dummy; call
        ctl toxic add zz=limit_data(bytes=1MB); ctl toxic remove zz
        ctl rule add 'SET name=tmp => new=delay(sleep=1ms)'; ctl rule remove tmp"
        .replace("zz=limit_data(bytes=1MB)", "'zz=limit_data(bytes=1MB)'");
    let options =
        "--protocol redis --toxic far=limit_data(bytes=1MB) --rule SET=>old=error --handler 1:boo=delay(sleep=1ms)";
    let expect = ["far", "rule-1.old", "boo", "zz", "tmp.new", "default.zz"].map(|name| format!("--expect {name}==0"));
    let options = format!("{options} {}", expect.join(" "));
    let all = beside_api(&options, &gone).ends(0);
    all.says("expected tmp.new==0: met, 0").says("expected far==0: met, 0").never_says("warning");
    let typo = beside_api(
        "--protocol redis --expect zy==0 --expect tmq.new==0",
        &gone.replace("ctl toxic remove far; ctl rule remove rule-1;", ""),
    );
    typo.ends(0).says("zy==0: nothing was called `zy`").says("tmq.new==0: nothing was called `tmq`");
}

#[test]
fn an_idle_toxic_is_not_told_if_it_was_expected_or_taken_away() {
    let make = "ctl toxic add 'zz=limit_data(bytes=1MB)'; call";
    let told = "warning: default: toxic `zz` did nothing";
    beside_api("", make).ends(0).says(told);
    beside_api("--expect far==0 --expect faults==0", make).ends(0).says(told);
    for expected in ["zz==0", "default.zz==0"] {
        beside_api(&format!("--expect {expected}"), make).ends(0).never_says("did nothing");
    }
    let configured = "--toxic far=limit_data(bytes=1MB)";
    beside_api(configured, "call").ends(0).says("warning: toxic `far` did nothing");
    for taken_away in [
        "call; ctl toxic remove far; call",
        "exec 5<>/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT; call; ctl toxic remove far",
    ] {
        beside_api(configured, taken_away).ends(0).never_says("did nothing");
    }
}

#[test]
fn an_expectation_about_one_of_very_many_toxics_says_why_it_cannot_be_met() {
    let script = "patch() {
            exec 4<>/dev/tcp/${VAURIEN_HTTP_HOST:-127.0.0.1}/${VAURIEN_HTTP##*:}
            body=\"{\\\"toxics\\\": [$1]}\"
            printf 'PATCH /v1/proxies/default HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%s' ${#body} \"$body\" >&4
            read -r status <&4; case \"$status\" in *' 200 '*) ;; *) echo \"$status\" >&2; exit 9;; esac; exec 4>&-
        }
        patch $(seq -f '\"t%g=latency(latency=1us)\"' -s , 1 1005); call; patch ''";
    let why = "removed toxics beyond 1000 are counted together, as `other`";
    let ran = beside_api("--expect t1==1 --expect t1005==1 --expect error==1", script).ends(3);
    let ran = ran.says(&format!("expected t1==1: NOT met, 0; {why}")).says("expected t1005==1: met, 1");
    assert_eq!(ran.stderr.matches(why).count(), 1, "{ran:#?}");
}
