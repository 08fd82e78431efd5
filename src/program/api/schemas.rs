//! The schemas of bodies. Those of answers are generated from types, those of proxies from the settings of the file, so that
//! both have the same keys, including those of users' own handlers.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::answer::Errors;
use super::rules::Rule;
use super::toxics::Toxic;
use super::v1::{Applied, CallList, Connection, Status};
use crate::duration::Seconds;
use crate::handler::Registry;
use crate::plan::rule::table::MATCH;
use crate::program::config::schema::{PROXY_TABLES, Schema, Setting};
use crate::proxy::options::{BUFFER, POOL_SIZE};
use crate::settings::schema;

type Properties = Map<String, Value>;

const REQUIRED: [&str; 1] = ["backend"];

/// A host that is not an IPv6 address, and a port that is not 0.
const HOST: &str = "[A-Za-z0-9._-]+";
const PORT: &str = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})$";

/// A duration as text, up to a year.
const TIME: &str = "([0-9]{1,5} ?(ns|us|ms|s|m)|[0-9]{1,3} ?h|[0-9]{1,2} ?d)";

pub(super) fn all(registry: &Registry) -> Value {
    let options = Schema::new(registry);
    let settings = settings(&options);
    let mut writable = settings.clone();
    writable.insert("for".to_owned(), duration());
    writable.insert("name".to_owned(), json!({ "type": "string", "description": "The same as in the path" }));
    writable.insert("status".to_owned(), json!({ "description": "Ignored, so that what GET answers can be PUT" }));
    let mut patch = writable.clone();
    for (key, schema) in &mut patch {
        if !REQUIRED.contains(&key.as_str()) && !matches!(key.as_str(), "for" | "name" | "status") {
            or_null(schema);
        }
    }

    let mut shown = settings.clone();
    shown.insert("name".to_owned(), json!({ "type": "string" }));
    shown.insert("status".to_owned(), of::<Status>());
    let mut changed = shown.clone();
    changed.insert("applied".to_owned(), of::<Applied>());

    let shown_rule = of::<Rule>()["properties"].as_object().cloned().unwrap_or_default();
    let mut changed_rule = shown_rule.clone();
    changed_rule.insert("applied".to_owned(), of::<Applied>());

    let shown_toxic = of::<Toxic>()["properties"].as_object().cloned().unwrap_or_default();
    let mut changed_toxic = shown_toxic.clone();
    changed_toxic.insert("applied".to_owned(), of::<Applied>());

    let word = |key: &str, schema: Value| whole(Map::from_iter([(key.to_owned(), schema)]));
    let (text, texts) = (json!({ "type": "string" }), json!({ "type": "array", "items": { "type": "string" } }));
    json!({
        "Errors": of::<Errors>(),
        "Done": word("status", json!({ "const": "ok" })),
        "Behavior": word("behavior", text.clone()),
        "Behaviors": word("behaviors", texts.clone()),
        "Handler": word("handler", text.clone()),
        "Handlers": word("handlers", texts),
        "Backend": word("backend", settings.get("backend").cloned().unwrap_or_default()),
        "BehaviorChange": behavior(&options, &settings),
        "ProxySettings": object(writable, &REQUIRED),
        "ProxyPatch": object(patch, &[]),
        "Proxies": word("proxies", json!({
            "type": "object",
            "additionalProperties": { "$ref": "#/components/schemas/Proxy" },
        })),
        "Proxy": whole(shown),
        "ChangedProxy": whole(changed),
        "Rule": whole(shown_rule.clone()),
        "Rules": word("rules", json!({ "type": "array", "items": { "$ref": "#/components/schemas/Rule" } })),
        "ChangedRule": whole(changed_rule),
        "NewRule": new_rule(),
        "RulePatch": rule_patch(),
        "Toxic": whole(shown_toxic),
        "Toxics": word("toxics", json!({ "type": "array", "items": { "$ref": "#/components/schemas/Toxic" } })),
        "ChangedToxic": whole(changed_toxic),
        "NewToxic": toxic(),
        "ToxicPatch": toxic(),
        "Connections": word("connections", json!({ "type": "array", "items": of::<Connection>() })),
        "Calls": of::<CallList>(),
        "Label": word("label", json!({ "anyOf": [label(), { "type": "null" }] })),
        "Version": word("version", text),
        "Health": word("status", json!({ "const": "ok" })),
        "Document": { "type": "object" },
    })
}

/// The keys of a proxy, as in the file.
fn settings(options: &Schema<'_>) -> Properties {
    let property = |setting: &Setting<'_>| {
        let mut property = setting.field.schema.clone();
        sharpen(&mut property, setting, options.registry);
        (setting.field.name.clone(), property)
    };
    let mut properties: Properties = options.of_proxy("").map(property).collect();
    for table in PROXY_TABLES {
        properties.insert(table.to_owned(), object(options.of_proxy(table).map(property).collect(), &[]));
    }
    let handlers = options.registry.names().map(|name| (name.to_owned(), object(handler(options, name), &[])));
    properties.insert("handlers".to_owned(), object(handlers.collect(), &[]));
    properties
}

/// The keys of a handler's table.
fn handler(options: &Schema<'_>, name: &str) -> Properties {
    let property = |setting: &Setting<'_>| {
        let field = setting.field;
        let mut property = field.schema.clone();
        if !setting.inherited {
            property["description"] = json!(field.help);
            property["default"] = field.default.clone();
        }
        sharpen(&mut property, setting, options.registry);
        (field.name.clone(), property)
    };
    options.of_handler(name).into_iter().map(property).collect()
}

/// Adds what a setting's type does not say: patterns and limits.
fn sharpen(property: &mut Value, setting: &Setting<'_>, registry: &Registry) {
    let takes = |value: &Value| setting.field.check(value).is_ok();
    match property.get("x-unit").and_then(Value::as_str) {
        Some("host:port") => {
            let zero = if takes(&json!("localhost:0")) { "(0$|" } else { "(" };
            property["pattern"] = json!(format!("^({HOST}|{}):{zero}{PORT})", ipv6()));
        }
        Some("mix") => property["pattern"] = json!(mix(registry)),
        Some("rule") => property["items"] = rule(),
        Some("seconds") => {
            if property.as_object_mut().is_some_and(|property| property.remove("x-distribution").is_some()) {
                return;
            }
            let (described, default) = (property["description"].take(), property["default"].take());
            *property = time(!takes(&json!(0)));
            property["description"] = described;
            property["default"] = default;
        }
        Some(unit @ ("bytes" | "connections")) => {
            let most = *if unit == "bytes" { BUFFER } else { POOL_SIZE }.end();
            if !takes(&json!(0)) {
                property["minimum"] = json!(1);
            }
            if property.get("maximum").is_none() && !takes(&json!(most + 1)) {
                property["maximum"] = json!(most);
            }
        }
        _ => {}
    }
}

/// An IPv6 address in brackets: eight groups, or fewer around `::`.
fn ipv6() -> String {
    let group = "[0-9A-Fa-f]{1,4}";
    let groups = |most: usize| format!("({group}(:{group}){{0,{}}})?", most - 1);
    let around = [(6, 1), (3, 4), (1, 6)].map(|(left, right)| format!("{}::{}", groups(left), groups(right)));
    format!(r"\[({group}(:{group}){{7}}|{})(%[A-Za-z0-9]+)?\]", around.join("|"))
}

/// `delay`, or `20:delay(sleep=1s),5:late=delay` where the percentages add up to 100 at most, no name is there twice, and the
/// settings are valid.
fn mix(registry: &Registry) -> String {
    let names = registry.names().collect::<Vec<_>>().join("|");
    let handler = format!(r"([A-Za-z0-9_-]{{1,64}}=)?({names})(\(.*\))?");
    let share = format!(r"(100|[1-9]?[0-9](\.[0-9]{{1,6}})?):{handler}");
    format!("^{handler}$|^{share}(,{share})*$")
}

/// A rule: `GET /pay* times=3 => error`, or a table. What its conditions may be depends on the protocol.
fn rule() -> Value {
    json!({ "anyOf": [{ "type": "string", "pattern": "=>" }, object(rule_table(), &["handler"])] })
}

/// What `POST` and `PUT` of a rule take: a text, or the keys of a table.
fn new_rule() -> Value {
    let mut text = Map::from_iter([("rule".to_owned(), json!({ "type": "string", "pattern": "=>" }))]);
    text.insert("name".to_owned(), rule_table()["name"].clone());
    let mut table = rule_table();
    for properties in [&mut text, &mut table] {
        properties.extend(rule_extras());
    }
    json!({ "anyOf": [object(text, &["rule"]), object(table, &["handler"])] })
}

/// What `PATCH` of a rule takes. Null is the default.
fn rule_patch() -> Value {
    let mut text = Map::from_iter([("rule".to_owned(), json!({ "type": "string", "pattern": "=>" }))]);
    text.insert("name".to_owned(), rule_table()["name"].clone());
    let mut table = rule_table();
    table
        .iter_mut()
        .filter(|(key, _)| !matches!(key.as_str(), "name" | "handler"))
        .for_each(|(_, schema)| or_null(schema));
    for properties in [&mut text, &mut table] {
        properties.extend(rule_extras());
    }
    json!({ "anyOf": [object(text, &["rule"]), object(table, &[])] })
}

/// The keys of a request that changes a rule, beside those of the rule.
fn rule_extras() -> Properties {
    let before = json!({ "type": ["string", "null"], "description": "Put it before this rule, or `first`" });
    let status = json!({ "description": "Ignored, so that what GET answers can be PUT" });
    [("for", duration()), ("before", before), ("status", status)]
        .map(|(key, schema)| (key.to_owned(), schema))
        .into_iter()
        .collect()
}

/// The keys of a rule's table.
fn rule_table() -> Properties {
    let text = || json!({ "type": "string" });
    let texts = || json!({ "type": "object", "additionalProperties": text() });
    let number = |least: u64| json!({ "type": "integer", "minimum": least });
    let condition = |key: &str| match key {
        "header" | "query" => texts(),
        "connection" => json!({ "type": ["integer", "string"] }),
        _ => text(),
    };
    let conditions: Properties = MATCH.map(|key| (key.to_owned(), condition(key))).into_iter().collect();
    let conditions = json!({ "type": "object", "properties": conditions, "additionalProperties": false });
    let properties = [
        ("name", json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" })),
        ("match", conditions),
        ("after", number(0)),
        ("every", number(1)),
        ("times", number(1)),
        ("during", text()),
        ("per", json!({ "enum": ["connection", "proxy"] })),
        ("handler", text()),
    ];
    properties.map(|(key, schema)| (key.to_owned(), schema)).into_iter().collect()
}

/// A number of seconds, or a text with a unit.
fn time(more_than_nothing: bool) -> Value {
    let (least, first) = if more_than_nothing { (0.000_001, "(?![0 ])") } else { (0.0, "") };
    let longest = Seconds::MAX.duration().as_secs();
    json!({
        "anyOf": [
            { "type": "number", "minimum": least, "maximum": longest },
            { "type": "string", "pattern": format!("^{first}([0-9]{{1,7}}|{TIME}( {TIME}){{0,3}})$") },
        ],
        "x-unit": "seconds",
    })
}

/// `for`: how long a change lasts.
fn duration() -> Value {
    json!({
        "anyOf": [time(true), { "type": "null" }],
        "description": "Revert the change after this time; null for never",
    })
}

/// `PUT /behavior`: a handler with its settings next to its name, or a mix with the settings of each handler. Null is the default.
fn behavior(options: &Schema<'_>, settings: &Properties) -> Value {
    let mut tables = settings["handlers"].clone();
    for table in tables["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        table["properties"].as_object_mut().into_iter().flat_map(Map::values_mut).for_each(or_null);
    }
    let one = options.registry.names().map(|name| {
        let mut keys = handler(options, name);
        keys.values_mut().for_each(or_null);
        keys.insert("name".to_owned(), json!({ "const": name }));
        keys.insert("for".to_owned(), duration());
        object(keys, &["name"])
    });
    let keys = [("name", json!({ "type": "string", "pattern": mix(options.registry) })), ("options", tables)];
    let mut several: Properties = keys.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
    several.insert("for".to_owned(), duration());
    json!({ "anyOf": one.chain([object(several, &["name"])]).collect::<Vec<_>>() })
}

/// The same or null, at all levels.
fn or_null(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(or_null);
    }
    *schema = json!({ "anyOf": [schema.take(), { "type": "null" }] });
}

/// An object with no other properties.
fn object(properties: Properties, required: &[&str]) -> Value {
    let properties = Value::Object(properties);
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// An object with all of these properties.
fn whole(properties: Properties) -> Value {
    let required: Vec<String> = properties.keys().cloned().collect();
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    object(properties, &required)
}

/// A label: at most 255 bytes of UTF-8.
pub(super) fn label() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$" })
}

/// A Server-Sent Event.
pub(super) fn event() -> Value {
    let text = || json!({ "type": "string" });
    let data = json!({ "type": "string", "description": "The event, as JSON; for `lost`, `count` is their number" });
    object(
        Map::from_iter([("id".to_owned(), text()), ("event".to_owned(), text()), ("data".to_owned(), data)]),
        &["event", "data"],
    )
}

/// The schema of a type that is written.
fn of<T: JsonSchema>() -> Value {
    schema::<T>(SchemaSettings::default().for_serialize()).to_value()
}

/// A toxic, or some keys of one, in a body.
fn toxic() -> Value {
    let types = crate::toxic::types();
    let types: Vec<_> = types.iter().map(|known| json!({ "const": known.name, "description": known.help })).collect();
    object(
        Map::from_iter([
            (
                "toxic".to_owned(),
                json!({ "type": "string", "description": "The toxic as text: `latency(latency=100ms)`" }),
            ),
            (
                "name".to_owned(),
                json!({ "type": ["string", "null"], "minLength": 1, "maxLength": 255, "description": "By default `TYPE_STREAM`" }),
            ),
            ("type".to_owned(), json!({ "oneOf": types })),
            ("stream".to_owned(), json!({ "enum": ["downstream", "upstream"], "default": "downstream" })),
            ("toxicity".to_owned(), json!({ "type": "number", "minimum": 0, "maximum": 1, "default": 1 })),
            ("attributes".to_owned(), json!({ "type": "object", "description": "The settings of its type" })),
            ("for".to_owned(), duration()),
            ("status".to_owned(), json!({ "description": "Ignored, so that what GET answers can be PUT" })),
        ]),
        &[],
    )
}
