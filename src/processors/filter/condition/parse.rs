//! Parses the tokens of a condition.

use opentelemetry::Value;

use super::{
    Condition, ConditionError, ConditionScope, Operand, Order,
    token::{Token, TokenKind, tokens},
};
use crate::settings::Pattern;

/// The deepest nesting of parentheses and `not`.
const DEPTH_MAX: usize = 50;

const PATHS: &str = "name, description, unit, type, is_monotonic, aggregation_temporality, attributes[\"…\"], value_int, value_double, flags, resource.attributes[\"…\"], instrumentation_scope.name";

const FUNCTIONS: &str =
    "IsMatch, HasPrefix, HasSuffix, HasAttrKeyOnDatapoint, HasAttrOnDatapoint, Len, Substring";

/// Functions that return a value, not a condition.
const VALUES: [&str; 2] = ["Len", "Substring"];

/// Properties of a single point.
const OF_A_POINT: [&str; 4] = ["attributes", "value_int", "value_double", "flags"];

/// Properties that are not known yet when conditions are evaluated, and why.
const LATER: [(&[&str], &str); 2] = [
    (
        &[
            "count",
            "sum",
            "bucket_counts",
            "explicit_bounds",
            "exemplars",
        ],
        "a histogram is aggregated after the processors, so its count, sum and buckets are not known here",
    ),
    (
        &[
            "start_time_unix_nano",
            "time_unix_nano",
            "start_time",
            "time",
        ],
        "a point gets its times after the processors",
    ),
];

pub(super) fn parse(text: &str, scope: ConditionScope) -> Result<Condition, ConditionError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        scope,
    };
    let condition = parser.any()?;
    match &parser.peek().kind {
        TokenKind::End => Ok(condition),
        other => parser.expected("`and`, `or` or the end", other.clone()),
    }
}

struct Parser {
    /// The last one is the end.
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    scope: ConditionScope,
}

type Parsed<T> = Result<T, ConditionError>;

impl Parser {
    fn any(&mut self) -> Parsed<Condition> {
        let mut all = vec![self.all()?];
        while self.takes_word("or") {
            all.push(self.all()?);
        }
        Ok(Condition::Any(all))
    }

    fn all(&mut self) -> Parsed<Condition> {
        let mut all = vec![self.one()?];
        while self.takes_word("and") {
            all.push(self.one()?);
        }
        Ok(Condition::All(all))
    }

    fn one(&mut self) -> Parsed<Condition> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.error("nested too deep");
        }
        let condition = if self.takes_word("not") {
            Condition::Not(Box::new(self.one()?))
        } else if self.takes_sign("(") {
            let inner = self.any()?;
            self.sign(")")?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Parsed<Condition> {
        let token = self.peek().clone();
        match &token.kind {
            TokenKind::End => return self.expected("a condition", TokenKind::End),
            TokenKind::Word(name) if self.is_call() && !VALUES.contains(&name.as_str()) => {
                return self.call(name);
            }
            _ => {}
        }
        let left = self.operand()?;
        let sign = self.peek().clone();
        let order = match &sign.kind {
            TokenKind::Sign(sign) => order(sign),
            _ => None,
        };
        match (order, left) {
            (Some(order), left) => {
                self.next += 1;
                Ok(Condition::Compare(left, order, self.operand()?))
            }
            (None, Operand::Value(Value::Bool(known))) => Ok(Condition::Known(known)),
            // A boolean alone is a condition.
            (None, Operand::IsMonotonic) => Ok(Condition::Compare(
                Operand::IsMonotonic,
                Order::Equal,
                Operand::Value(true.into()),
            )),
            (None, _) => self.expected("`==`", sign.kind),
        }
    }

    /// Whether there is a function call here.
    fn is_call(&self) -> bool {
        let next = self.tokens.get(self.next + 1);
        next.is_some_and(|token| token.kind.is_sign("("))
    }

    fn call(&mut self, name: &str) -> Parsed<Condition> {
        match name {
            "IsMatch" => self.is_match(),
            "HasPrefix" | "HasSuffix" => {
                self.next += 2;
                let of = self.operand()?;
                self.sign(",")?;
                let text = self.text("a text in quotes")?;
                self.sign(")")?;
                Ok(match name {
                    "HasPrefix" => Condition::HasPrefix(of, text),
                    _ => Condition::HasSuffix(of, text),
                })
            }
            "HasAttrKeyOnDatapoint" | "HasAttrOnDatapoint"
                if self.scope == ConditionScope::Point =>
            {
                self.error(format!(
                    "`{name}` is of a metric: use `attributes[\"key\"] != nil`"
                ))
            }
            "HasAttrKeyOnDatapoint" => {
                self.next += 2;
                let key = self.text("a key in quotes")?;
                self.sign(")")?;
                Ok(Condition::OnPoint(key, None))
            }
            "HasAttrOnDatapoint" => {
                self.next += 2;
                let key = self.text("a key in quotes")?;
                self.sign(",")?;
                let value = self.text("a value in quotes")?;
                self.sign(")")?;
                Ok(Condition::OnPoint(key, Some(value)))
            }
            _ => self.error(format!(
                "the function `{name}` is not supported, only {FUNCTIONS}"
            )),
        }
    }

    fn is_match(&mut self) -> Parsed<Condition> {
        self.next += 2;
        let of = self.operand()?;
        self.sign(",")?;
        let token = self.peek().clone();
        let TokenKind::Text(text) = token.kind else {
            return self.expected("a regular expression in quotes", token.kind);
        };
        let pattern = match text.parse::<Pattern>() {
            Ok(pattern) => pattern,
            Err(error) => return self.error(error.to_string()),
        };
        self.next += 1;
        self.sign(")")?;
        Ok(Condition::IsMatch(of, pattern.get().clone()))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.error("nested too deep");
        }
        let token = self.peek().clone();
        let operand = match &token.kind {
            TokenKind::Text(text) => Operand::Value(text.clone().into()),
            TokenKind::Number(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(value), _) => Operand::Value(value.into()),
                (_, Ok(value)) => Operand::Value(value.into()),
                _ => return self.expected("a number", token.kind.clone()),
            },
            TokenKind::Word(word) => {
                let found = match self.is_call() {
                    true => self.value_call(word),
                    false => self.path(word),
                };
                self.depth -= 1;
                return found;
            }
            other => return self.expected("a path or a value", other.clone()),
        };
        self.next += 1;
        self.depth -= 1;
        Ok(operand)
    }

    /// A function that returns a value.
    fn value_call(&mut self, name: &str) -> Parsed<Operand> {
        if !VALUES.contains(&name) {
            let message = format!("the function `{name}` is not supported, only {FUNCTIONS}");
            return self.error(message);
        }
        self.next += 2;
        let operand = match name {
            "Len" => self.length()?,
            _ => {
                let of = Box::new(self.operand()?);
                self.sign(",")?;
                let start = self.position()?;
                self.sign(",")?;
                let length = self.position()?;
                Operand::Substring { of, start, length }
            }
        };
        self.sign(")")?;
        Ok(operand)
    }

    /// The length of a text, or the number of all attributes.
    fn length(&mut self) -> Parsed<Operand> {
        let TokenKind::Word(word) = self.peek().kind.clone() else {
            return Ok(Operand::Length(Box::new(self.operand()?)));
        };
        let next = self.tokens.get(self.next + 1);
        let is_keyed = next.is_some_and(|token| token.kind.is_sign("["));
        let all = match word.as_str() {
            "attributes" | "datapoint.attributes" if self.scope == ConditionScope::Point => {
                Some(Operand::Attributes)
            }
            "resource.attributes" => Some(Operand::ResourceAttributes),
            _ => None,
        };
        match all.filter(|_| !is_keyed) {
            Some(all) => {
                self.next += 1;
                Ok(all)
            }
            None => Ok(Operand::Length(Box::new(self.operand()?))),
        }
    }

    /// A number of bytes.
    fn position(&mut self) -> Parsed<usize> {
        let token = self.peek().clone();
        let number = match &token.kind {
            TokenKind::Number(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            return self.expected("an integer of 0 or more", token.kind);
        };
        self.next += 1;
        Ok(number)
    }

    fn path(&mut self, word: &str) -> Parsed<Operand> {
        // The prefix of a path names its owner. Without a prefix the owner is the metric or the
        // point.
        let of_point = word.strip_prefix("datapoint.");
        let of_metric = word.strip_prefix("metric.");
        let bare = of_point.or(of_metric).unwrap_or(word);
        let is_of_point = of_metric.is_none() && OF_A_POINT.contains(&bare);
        if is_of_point && self.scope == ConditionScope::Metric {
            return self.error(format!("a metric has no `{word}`: use `datapoint`"));
        }
        let operand = match bare {
            "attributes" if is_of_point => return self.keyed(Operand::Attribute),
            "resource.attributes" if word == bare => return self.keyed(Operand::Resource),
            "value_int" if is_of_point => Operand::Int,
            "value_double" if is_of_point => Operand::Double,
            "flags" if is_of_point => Operand::Value(0.into()),
            "name" if of_point.is_none() => Operand::Name,
            "description" if of_point.is_none() => Operand::Description,
            "unit" if of_point.is_none() => Operand::Unit,
            "type" if of_point.is_none() => Operand::Type,
            "is_monotonic" if of_point.is_none() => Operand::IsMonotonic,
            "aggregation_temporality" if of_point.is_none() => Operand::Temporality,
            _ => match constant(word) {
                Some(operand) => operand,
                None => return self.unknown(word, bare),
            },
        };
        self.next += 1;
        Ok(operand)
    }

    fn unknown<T>(&self, word: &str, bare: &str) -> Parsed<T> {
        let later = LATER.iter().find(|(names, _)| names.contains(&bare));
        let why = later.map_or(PATHS, |(_, why)| why);
        self.error(format!("`{word}` is not supported: {why}"))
    }

    /// A path and the key after it.
    fn keyed(&mut self, operand: fn(String) -> Operand) -> Parsed<Operand> {
        self.next += 1;
        Ok(operand(self.key()?))
    }

    /// Parses `["key"]`.
    fn key(&mut self) -> Parsed<String> {
        self.sign("[")?;
        let key = self.text("a key in quotes")?;
        self.sign("]")?;
        Ok(key)
    }

    /// A text in quotes.
    fn text(&mut self, expected: &str) -> Parsed<String> {
        let token = self.peek().clone();
        let TokenKind::Text(text) = token.kind else {
            return self.expected(expected, token.kind);
        };
        self.next += 1;
        Ok(text)
    }

    fn peek(&self) -> &Token {
        const END: &Token = &Token {
            at: 1,
            kind: TokenKind::End,
        };
        self.tokens
            .get(self.next)
            .or(self.tokens.last())
            .unwrap_or(END)
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let takes = self.peek().kind.is_word(word);
        self.next += usize::from(takes);
        takes
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let takes = self.peek().kind.is_sign(sign);
        self.next += usize::from(takes);
        takes
    }

    fn sign(&mut self, sign: &str) -> Parsed<()> {
        if self.takes_sign(sign) {
            return Ok(());
        }
        let found = self.peek().kind.clone();
        self.expected(&format!("`{sign}`"), found)
    }

    fn expected<T>(&self, what: &str, found: TokenKind) -> Parsed<T> {
        self.error(format!("expected {what}, found {}", found.show()))
    }

    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ConditionError {
            at: self.peek().at,
            message: message.into(),
        })
    }
}

/// A word that is the same for every point.
fn constant(word: &str) -> Option<Operand> {
    Some(match word {
        "instrumentation_scope.name" | "scope.name" => Operand::ScopeName,
        "instrumentation_scope.version" | "scope.version" => {
            Operand::Value(env!("CARGO_PKG_VERSION").into())
        }
        "nil" => Operand::Nil,
        "true" => Operand::Value(true.into()),
        "false" => Operand::Value(false.into()),
        _ if word.starts_with("METRIC_DATA_TYPE_") => {
            let types = [
                "NONE",
                "GAUGE",
                "SUM",
                "HISTOGRAM",
                "EXPONENTIAL_HISTOGRAM",
                "SUMMARY",
            ];
            known(word, "METRIC_DATA_TYPE_", &types)?
        }
        _ => {
            let temporalities = ["UNSPECIFIED", "DELTA", "CUMULATIVE"];
            known(word, "AGGREGATION_TEMPORALITY_", &temporalities)?
        }
    })
}

/// One of the names of an enumeration, as a text.
fn known(word: &str, prefix: &str, names: &[&str]) -> Option<Operand> {
    let name = word.strip_prefix(prefix)?;
    let is_known = names.contains(&name);
    is_known.then(|| Operand::Value(word.to_owned().into()))
}

fn order(sign: &str) -> Option<Order> {
    Some(match sign {
        "==" => Order::Equal,
        "!=" => Order::NotEqual,
        "<" => Order::Less,
        "<=" => Order::LessOrEqual,
        ">" => Order::Greater,
        ">=" => Order::GreaterOrEqual,
        _ => return None,
    })
}
