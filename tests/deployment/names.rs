//! Names and ports are the same wherever they refer to the same thing.

use std::fs;

use saphyr::Yaml;
use vaurien::program::config::{Address, Config, HostPort};
use vaurien::{Protocol, Registry};

use super::world::{Api, Backend, File, Program};
use super::{documents, list, path, port, read, string, strings};

/// The configuration that this file gives.
fn set_by(text: &str) -> Config {
    let file = File::new(text);
    let arguments = ["vaurien".into(), "--config".into(), file.path().into()];
    let config = Config::from_args(arguments, [], &Registry::default()).unwrap_or_else(|exit| panic!("{exit}"));
    assert_eq!(config.proxies.len(), 1);
    assert_eq!(
        (config.proxies[0].protocol, &config.proxies[0].mix.to_string()[..]),
        (Protocol::Redis, "20:delay,2:error")
    );
    config
}

/// Starts the program with this file, but with another backend and free ports, and checks that the API accepts requests for
/// `host`. `open` says whether other machines can reach the API, about which the program warns.
fn runs_with(text: &str, host: &str, open: bool) {
    let backend = Backend::lines();
    let file = File::new(text);
    let arguments =
        format!("--proxy 127.0.0.1:0 --backend {} --http-port 0 --seed 1 --handler dummy", backend.address());
    let mut program = Program::spawn(Program::command(&arguments).env("VAURIEN_CONFIG", file.path()));
    let warned = |line: &String| line.contains("WARN") && line.contains("can change the proxies");
    assert_eq!(program.seen().iter().any(warned), open, "{:#?}", program.seen());
    program.connect().send("get a\r\n").expect("+get a\r\n");
    // It may listen on 0.0.0.0, which is no address to connect to.
    let port = program.api().0.port();
    let api = Api(([127, 0, 0, 1], port).into());
    assert_eq!(api.ask("GET", "/metrics", &format!("Host: {host}:{port}\r\n"), "").status, 200);
    assert_eq!(api.ask("GET", "/metrics", "Host: elsewhere\r\n", "").status, 403);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}

/// The address in a URL of Redis.
fn redis(url: &str) -> HostPort {
    url.strip_prefix("redis://").and_then(|url| url.strip_suffix("/0")).unwrap().parse().unwrap()
}

/// The value of a variable of a container.
fn variable<'a>(container: &'a Yaml<'_>, name: &str) -> &'a str {
    string(&list(&container["env"]).iter().find(|variable| string(&variable["name"]) == name).unwrap()["value"])
}

#[test]
fn the_services_of_compose_find_each_other() {
    let (text, file) = (read("examples/docker/compose.yaml"), read("examples/docker/vaurien.toml"));
    let services = &documents(&text)[0]["services"];
    let config = set_by(&file);
    let (proxy, http) = (&config.proxies[0], config.http.as_ref().unwrap());

    // Another container reaches neither of them on localhost.
    assert_eq!((proxy.listen.tcp().unwrap().host.as_str(), http.host.as_str()), ("0.0.0.0", "0.0.0.0"));
    let called = redis(string(&services["application"]["environment"]["REDIS_URL"]));
    assert_eq!(called.port, proxy.listen.tcp().unwrap().port);
    let [allowed] = &http.allow_hosts[..] else { panic!("one other name") };
    assert_eq!((&allowed.name, allowed.port), (&called.host, None));
    let vaurien = &services[called.host.as_str()];
    assert_eq!(strings(&vaurien["ports"]), [format!("127.0.0.1:{0}:{0}", http.port)]);
    assert_eq!(string(&services["application"]["depends_on"][called.host.as_str()]["condition"]), "service_healthy");
    // The backend is another service, on the port of the image.
    assert_eq!(proxy.backend, Address::new("redis", 6379));
    assert_eq!(string(&vaurien["depends_on"]["redis"]["condition"]), "service_healthy");
    assert!(services["redis"].contains_mapping_key("healthcheck"));

    // Relative to compose.yaml, the context is the repository, and the mounted folder contains the file.
    let folder = path("examples/docker");
    assert_eq!(fs::canonicalize(folder.join(string(&vaurien["build"]["context"]))).unwrap(), path(""));
    assert!(path(string(&vaurien["build"]["dockerfile"])).is_file());
    let [volume] = strings(&vaurien["volumes"])[..] else { panic!("one volume") };
    let mounted = volume.strip_prefix(".:").and_then(|volume| volume.strip_suffix(":ro")).unwrap();
    let read = string(&vaurien["environment"]["VAURIEN_CONFIG"]).strip_prefix(mounted).unwrap();
    assert!(folder.join(read.trim_start_matches('/')).is_file());

    runs_with(&file, &called.host, true);
}

/// A file for Kubernetes: the configuration that it gives, and the container of vaurien.
struct Manifest<'a> {
    documents: &'a [Yaml<'a>],
    file: &'a str,
    config: Config,
    pod: &'a Yaml<'a>,
    container: &'a Yaml<'a>,
}

impl<'a> Manifest<'a> {
    /// `containers` is the key under which the pod has vaurien.
    fn new(documents: &'a [Yaml<'a>], containers: &str) -> Self {
        let [map] = of_kind(documents, "ConfigMap")[..] else { panic!("one ConfigMap") };
        let [deployment] = of_kind(documents, "Deployment")[..] else { panic!("one Deployment") };
        let file = string(&map["data"]["vaurien.toml"]);
        let pod = &deployment["spec"]["template"];
        let [container] = list(&pod["spec"][containers]) else { panic!("one container") };
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"]);

        // The ConfigMap is mounted where the program looks for its file.
        let [volume] = list(&pod["spec"]["volumes"]) else { panic!("one volume") };
        let [mount] = list(&container["volumeMounts"]) else { panic!("one mount") };
        assert_eq!(volume["configMap"]["name"], map["metadata"]["name"]);
        assert_eq!(mount["name"], volume["name"]);
        let looked_for = format!("{}/vaurien.toml", string(&mount["mountPath"]));
        assert_eq!(variable(container, "VAURIEN_CONFIG"), looked_for);
        let manifest = Self { documents, file, config: set_by(file), pod, container };
        manifest.is_probed();
        manifest.is_what_was_built();
        // Otherwise variables for Services could be taken for options.
        assert_eq!(pod["spec"]["enableServiceLinks"].as_bool(), Some(false));
        manifest
    }

    fn is_probed(&self) {
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            assert_eq!(strings(&self.container[probe]["exec"]["command"]), ["/vaurien", "--health"]);
        }
    }

    /// The image has the name and version that the README builds and pushes.
    fn is_what_was_built(&self) {
        let image = string(&self.container["image"]);
        assert_eq!(image, concat!("registry.example.org/vaurien:", env!("CARGO_PKG_VERSION")));
        let readme = read("examples/kubernetes/README.md");
        assert!(readme.contains(&format!("docker build --tag {image} ")), "{image}");
        assert!(readme.contains(&format!("docker push {image}\n")), "{image}");
    }

    /// Prometheus finds and reaches the metrics.
    fn is_scraped(&self) {
        let http = self.config.http.as_ref().unwrap();
        assert_eq!(http.host, "0.0.0.0");
        assert_eq!(string(&self.pod["metadata"]["annotations"]["prometheus.io/port"]), http.port.to_string());
    }

    /// The container's port with this name.
    fn port(&self, name: &str) -> u16 {
        let named = list(&self.container["ports"]).iter().find(|port| string(&port["name"]) == name);
        port(&named.unwrap_or_else(|| panic!("no port {name}"))["containerPort"])
    }

    /// The Service with this name: the `app` of its selector, its port and its target port.
    fn service(&self, name: &str) -> (&str, u16, &Yaml<'a>) {
        let services = of_kind(self.documents, "Service");
        let service = services.into_iter().find(|service| string(&service["metadata"]["name"]) == name).unwrap();
        let [only] = list(&service["spec"]["ports"]) else { panic!("one port") };
        (string(&service["spec"]["selector"]["app"]), port(&only["port"]), &only["targetPort"])
    }
}

fn of_kind<'a>(documents: &'a [Yaml<'a>], kind: &str) -> Vec<&'a Yaml<'a>> {
    documents.iter().filter(|document| string(&document["kind"]) == kind).collect()
}

#[test]
fn a_sidecar_is_called_by_its_own_pod_alone() {
    let text = read("examples/kubernetes/sidecar.yaml");
    let documents = documents(&text);
    let manifest = Manifest::new(&documents, "initContainers");
    manifest.is_scraped();
    assert_eq!(string(&manifest.container["restartPolicy"]), "Always");
    let [application] = list(&manifest.pod["spec"]["containers"]) else { panic!("one application") };
    let proxy = &manifest.config.proxies[0];
    assert_eq!(proxy.listen, redis(variable(application, "REDIS_URL")));
    assert_eq!(
        (proxy.listen.tcp().unwrap().host.as_str(), &proxy.backend),
        ("127.0.0.1", &Address::new("redis", 6379))
    );
    assert_eq!(manifest.port("vaurien-http"), manifest.config.http.as_ref().unwrap().port);
    // Prometheus connects to the address of the pod.
    runs_with(manifest.file, "127.0.0.1", true);

    // The PodMonitor in the README selects this pod and this port.
    let readme = read("examples/kubernetes/README.md");
    let (_, monitor) = readme.split_once("```yaml\n").unwrap();
    let monitor = &super::documents(monitor.split("```").next().unwrap())[0]["spec"];
    assert_eq!(monitor["selector"]["matchLabels"], manifest.pod["metadata"]["labels"]);
    assert_eq!(string(&monitor["podMetricsEndpoints"][0]["port"]), "vaurien-http");
}

#[test]
fn a_service_takes_the_place_of_the_backends_name() {
    let text = read("examples/kubernetes/service.yaml");
    let documents = documents(&text);
    let manifest = Manifest::new(&documents, "containers");
    let (proxy, http) = (&manifest.config.proxies[0], manifest.config.http.as_ref().unwrap());
    let app = string(&manifest.pod["metadata"]["labels"]["app"]);
    let (selected, _, target) = manifest.service("redis");
    assert_eq!((selected, manifest.port(string(target))), (app, proxy.listen.tcp().unwrap().port));
    // Its backend is not itself.
    let (selected, real, target) = manifest.service(&proxy.backend.tcp().unwrap().host);
    assert_eq!((selected, real, port(target)), ("redis", proxy.backend.tcp().unwrap().port, 6379));
    // Only someone who may forward a port to the pod can change it, as the header of the file says.
    assert_eq!((http.host.as_str(), http.allow_hosts.len()), ("localhost", 0));
    let (_, forward) = text.split_once("kubectl port-forward deployment/").unwrap();
    assert_eq!(forward.lines().next().unwrap(), format!("{app} {}", http.port));
    runs_with(manifest.file, "localhost", false);
}

#[test]
fn a_rollout_refuses_no_connection() {
    let text = read("examples/kubernetes/service.yaml");
    let documents = documents(&text);
    let [deployment] = of_kind(&documents, "Deployment")[..] else { panic!("one Deployment") };
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    assert_eq!((rolling["maxSurge"].as_integer(), rolling["maxUnavailable"].as_integer()), (Some(1), Some(0)));
    let [container] = list(&deployment["spec"]["template"]["spec"]["containers"]) else { panic!("one container") };
    // Kubernetes waits, as the image has no shell that could.
    let waits = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_integer().unwrap();
    // Together with the five seconds for calls to finish, this is well within the thirty seconds of Kubernetes.
    assert!((1..=20).contains(&waits), "{waits}");
}

#[test]
fn a_variable_that_kubernetes_has_for_a_service_is_a_mistake() {
    let mut command = Program::command("--backend localhost:1 --check");
    let ended = Program::run(command.env("VAURIEN_HTTP_PORT", "tcp://10.96.0.7:8080"));
    assert_eq!(ended.code, Some(2), "{:?}", ended.lines);
    assert!(ended.lines.iter().any(|line| line.contains("VAURIEN_HTTP_PORT")), "{:?}", ended.lines);
}
