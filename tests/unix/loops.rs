//! Proxies that lead back to themselves, or have one path.

use std::fs;
use std::os::unix::fs::symlink;

use super::Folder;
use super::world::client::Ending;
use super::world::program::assert_complains;
use super::{lines, start};

#[test]
fn a_proxy_is_not_its_own_backend() {
    let folder = Folder::new();
    let at = folder.at("proxy");
    assert_complains(
        &format!("--proxy {at} --backend {at}"),
        2,
        &[&format!("`{at}` is both `backend` and `proxy`, listen somewhere else: `--proxy HOST:PORT`")],
    );
    // Nor by another path to it.
    fs::create_dir(folder.path("real")).unwrap();
    symlink("real", folder.path("link")).unwrap();
    let (at, through) = (folder.at("real/proxy"), folder.at("link/proxy"));
    assert_complains(
        &format!("--proxy {at} --backend {through}"),
        1,
        &[&format!("cannot listen on {at}: its backend `{through}` is this proxy itself")],
    );
    assert!(!folder.has("real/proxy"));
    // A link that appears later is seen when it is dialled.
    let mut vaurien = start(&at, &folder.at("later"), "");
    symlink("real/proxy", folder.path("later")).unwrap();
    assert_eq!(folder.connect("real/proxy").ending(), Ending::Closed);
    vaurien.line(&format!("cannot reach the backend {}: the backend is this proxy itself", folder.at("later")));
    assert_eq!(vaurien.stop().of("connection"), 1);
}

#[test]
fn two_proxies_do_not_have_one_path_and_do_not_lead_to_each_other() {
    let folder = Folder::new();
    fs::create_dir(folder.path("real")).unwrap();
    symlink("real", folder.path("link")).unwrap();
    let file = folder.path("vaurien.toml");
    let proxy =
        |name: &str, at: &str, backend: &str| format!("[proxies.{name}]\nproxy = \"{at}\"\nbackend = \"{backend}\"\n");
    let place = file.display();
    let (real, link) = (folder.at("real/x"), folder.at("link/x"));
    fs::write(&file, proxy("a", &real, "localhost:1") + &proxy("b", &link, "localhost:1")).unwrap();
    assert_complains(
        &format!("--config {place}"),
        2,
        &[&format!("{place}:5: proxies.b.proxy: `a` and `b` both listen on `{link}`, give one another `proxy`")],
    );
    let other = folder.at("other");
    fs::write(&file, proxy("a", &real, &other) + &proxy("b", &other, &link)).unwrap();
    assert_complains(
        &format!("--config {place}"),
        2,
        &[&format!("{place}:6: proxies.b.backend: the backends of `b`, `a` lead back to `b`")],
    );
}

#[test]
fn the_api_refuses_a_path_that_another_proxy_has() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let vaurien = start(&folder.at("proxy"), &backend, "--http --http-port 0");
    let body = format!(r#"{{"proxy": "{}", "backend": "{backend}"}}"#, folder.at("proxy"));
    let reply = vaurien.api().put("/v1/proxies/other", &body);
    assert_eq!(reply.status, 409, "{reply:?}");
    assert!(reply.body.contains("both listen on"), "{reply:?}");
    folder.connect("proxy").send("a\r\n").expect("+a\r\n");
    assert_eq!(vaurien.stop().of("connection"), 1, "nobody has connected to find out");
}
