//! How a definition is written.

use super::{
    draft::{Draft, Endpoint, Group, Metric},
    scalars::{flow, scalar},
};

impl Draft {
    /// As a file.
    pub(super) fn to_yaml(&self, seconds: f64) -> String {
        let mut text = format!(
            "# A first definition: `betanet-collector suggest` made it from two polls {seconds} s apart.\n\
             # Each guess says why. Read them, give the metrics good names and descriptions, and keep\n\
             # what is right with `betanet-collector test --update`.\n\
             resource: {{ service.name: {} }}\n\nendpoints:\n",
            scalar(&self.name)
        );
        for endpoint in &self.endpoints {
            text.push_str(&endpoint.to_yaml());
        }
        if let Some(start) = &self.start {
            let mut fields = start.fields.clone();
            if self.endpoints.len() > 1 {
                fields.insert(0, ["endpoint".to_owned(), scalar(&start.endpoint)]);
            }
            let (reason, key) = (&start.reason, start.key);
            text.push_str(&format!("\n# {reason}\n{key}: {}\n", flow(&fields)));
        }
        text.push_str("\nmetrics:\n");
        let names = self.names();
        for endpoint in &self.endpoints {
            let groups = self.groups.iter().zip(&names);
            let groups = groups
                .filter(|(group, _)| group.endpoint == endpoint.name && !group.metrics.is_empty());
            let groups: Vec<_> = groups.collect();
            let mut lines = Lines {
                indent: 2,
                text: &mut text,
            };
            match groups.as_slice() {
                _ if self.endpoints.len() == 1 => lines.groups(&groups),
                [] => {}
                [(group, names)] => {
                    let endpoint = ["endpoint".to_owned(), scalar(&endpoint.name)];
                    lines.group(group, names, Some(endpoint));
                }
                groups => {
                    lines.line(&format!("- endpoint: {}", scalar(&endpoint.name)));
                    lines.line("  metrics:");
                    lines.indent = 6;
                    lines.groups(groups);
                }
            }
        }
        text.push_str(&self.left_out());
        text
    }
}

impl Endpoint {
    /// As an entry of `endpoints`: on one line if that is short.
    pub(super) fn to_yaml(&self) -> String {
        let mut fields = vec![["path".to_owned(), scalar(&self.path)]];
        let format = self.format.iter();
        fields.extend(format.map(|format| ["format".to_owned(), scalar(format)]));
        let name = scalar(&self.name);
        let Some(transform) = &self.transform else {
            return format!("  {name}: {}\n", flow(&fields));
        };
        fields.push(["transform".to_owned(), format!("'{transform}'")]);
        let mut text = format!("  {name}:\n");
        for [key, value] in fields {
            text.push_str(&format!("    {key}: {value}\n"));
        }
        text
    }
}

/// Writes lines of YAML.
struct Lines<'t> {
    indent: usize,
    text: &'t mut String,
}

impl Lines<'_> {
    fn line(&mut self, line: &str) {
        let indent = self.indent;
        self.text.push_str(&format!("{:indent$}{line}\n", ""));
    }

    /// A map in several lines that is an item of a list.
    fn item(&mut self, fields: &[[String; 2]]) {
        let mut dash = "- ";
        for [key, value] in fields {
            self.line(&format!("{dash}{}: {value}", scalar(key)));
            dash = "  ";
        }
    }

    fn groups(&mut self, groups: &[(&Group, &Vec<String>)]) {
        for (group, names) in groups {
            self.group(group, names, None);
        }
    }

    fn group(&mut self, group: &Group, names: &[String], endpoint: Option<[String; 2]>) {
        let shared = group.keys();
        if !group.reason.is_empty() {
            self.line(&format!("# {}", group.reason));
        }
        if let ([metric], [name], None) = (group.metrics.as_slice(), names, &endpoint)
            && metric.series.is_empty()
        {
            self.metric(metric, name, Some(group));
            return;
        }
        let keys: Vec<_> = endpoint.into_iter().chain(shared).collect();
        let indent = self.indent;
        if !keys.is_empty() {
            self.item(&keys);
            self.line("  metrics:");
            self.indent += 4;
        }
        // In the order of their names, which begin alike where they belong together.
        let mut metrics: Vec<_> = names.iter().zip(&group.metrics).collect();
        metrics.sort_by_key(|(name, _)| *name);
        for (name, metric) in metrics {
            self.metric(metric, name, None);
        }
        self.indent = indent;
    }

    /// A metric: on one line, with the keys of its group if it is alone there.
    fn metric(&mut self, metric: &Metric, name: &str, group: Option<&Group>) {
        self.line(&format!("# {}", metric.reason));
        let field = |key: &str, value: String| [key.to_owned(), value];
        let mut fields = vec![
            field("name", scalar(name)),
            field("instrument", metric.instrument.to_owned()),
        ];
        let unit = metric.unit.iter();
        fields.extend(unit.map(|unit| field("unit", scalar(unit))));
        fields.extend(metric.before.iter().cloned());
        fields.extend(
            group
                .and_then(Group::for_each)
                .map(|of| field("for_each", of)),
        );
        let shared = group.map(|group| group.attributes.clone());
        let mut attributes = shared.unwrap_or_default();
        attributes.extend(metric.attributes.iter().cloned());
        let max = group.and_then(Group::max_series);
        let max = max.map(|max| field("max_series", max));
        let optional = metric
            .is_optional
            .then(|| field("optional", "true".to_owned()));
        let description = metric.description.as_ref();
        let description = description.map(|text| field("description", scalar(text)));
        let end = optional.into_iter().chain(description);
        if metric.series.is_empty() {
            fields.push(field("value", metric.value.clone()));
            fields.extend(metric.behind.iter().cloned());
            if !attributes.is_empty() {
                fields.push(field("attributes", flow(&attributes)));
            }
            fields.extend(max.into_iter().chain(end));
            self.line(&format!("- {}", flow(&fields)));
            return;
        }
        fields.extend(metric.behind.iter().cloned());
        fields.extend(end);
        self.item(&fields);
        self.line("  metrics:");
        for series in &metric.series {
            self.line(&format!("    # {}", series.reason));
            let attribute = flow(std::slice::from_ref(&series.attribute));
            let fields = [
                field("value", series.value.clone()),
                field("attributes", attribute),
            ];
            self.line(&format!("    - {}", flow(&fields)));
        }
    }
}

impl Group {
    /// What its metrics share, as YAML.
    fn keys(&self) -> Vec<[String; 2]> {
        let mut keys = Vec::new();
        let levels = self.for_each();
        keys.extend(levels.map(|levels| ["for_each".to_owned(), levels]));
        if !self.attributes.is_empty() {
            keys.push(["attributes".to_owned(), flow(&self.attributes)]);
        }
        keys.extend(self.max_series().map(|max| ["max_series".to_owned(), max]));
        keys
    }
}
