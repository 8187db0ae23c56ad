//! Reading the definitions' schemas.

use serde_json::Value;

/// Calls `visit` for a schema and all below it, with the path (`*` for list items and values of maps).
pub fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            walk(property, &below(name), visit);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&schema[inner], &below("*"), visit);
        }
    }
}
