//! Data forms (XEP-0004): reading what was submitted, writing what is offered or told.

use crate::ns;
use crate::stanza::Builder;
use minidom::Element;

/// `type` of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Form,
    Submit,
    Cancel,
    Result,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Submit => "submit",
            Self::Cancel => "cancel",
            Self::Result => "result",
        }
    }
}

/// A form that somebody sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    /// `None` for a type that XEP-0004 does not know.
    pub(crate) kind: Option<Kind>,
    /// In order, `FORM_TYPE` among them.
    pub(crate) fields: Vec<Field>,
}

/// A field of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) var: String,
    pub(crate) values: Vec<String>,
}

impl Form {
    /// Reads `<x xmlns='jabber:x:data'/>`; `None` if it is another element.
    pub(crate) fn read(x: &Element) -> Option<Self> {
        if !x.is("x", ns::DATA_FORMS) {
            return None;
        }
        let kinds = [Kind::Form, Kind::Submit, Kind::Cancel, Kind::Result];
        let fields = x.children().filter(|e| e.is("field", ns::DATA_FORMS));
        Some(Self {
            kind: kinds.into_iter().find(|k| Some(k.name()) == x.attr("type")),
            fields: fields.map(Field::read).collect(),
        })
    }

    /// The form in this element, a direct child of it.
    pub(crate) fn within(element: &Element) -> Option<Self> {
        element.children().find_map(Self::read)
    }

    /// The first field of that name.
    pub(crate) fn field(&self, var: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.var == var)
    }

    /// The first value of that field.
    pub(crate) fn value(&self, var: &str) -> Option<&str> {
        self.field(var)?.values.first().map(String::as_str)
    }

    /// The value of `FORM_TYPE`.
    pub(crate) fn form_type(&self) -> Option<&str> {
        self.value("FORM_TYPE")
    }
}

impl Field {
    fn read(field: &Element) -> Self {
        let values = field.children().filter(|e| e.is("value", ns::DATA_FORMS));
        Self {
            var: field.attr("var").unwrap_or_default().to_owned(),
            values: values.map(Element::text).collect(),
        }
    }

    /// The one value; the empty text if there is none.
    pub(crate) fn text(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }
}

/// Reads a boolean: both forms are legal (MUC-DISCO-23).
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// Writes a boolean: some clients know one form only (MUC-DISCO-23, I-08).
pub(crate) const fn flag(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}

/// Writes a form into a builder.
#[derive(Debug)]
pub(crate) struct Writer<'a>(&'a mut Builder);

impl<'a> Writer<'a> {
    /// Opens a form with its hidden `FORM_TYPE` (XEP-0068).
    pub(crate) fn begin(xml: &'a mut Builder, kind: Kind, form_type: &str) -> Self {
        xml.open_ns("x", ns::DATA_FORMS).attr("type", kind.name());
        let mut form = Self(xml);
        form.field("FORM_TYPE", "hidden", None, &[form_type]);
        form
    }

    /// A text that heads the form.
    pub(crate) fn title(&mut self, text: &str) -> &mut Self {
        self.0.leaf("title", text);
        self
    }

    /// A field with values.
    pub(crate) fn field(
        &mut self,
        var: &str,
        kind: &str,
        label: Option<&str>,
        values: &[&str],
    ) -> &mut Self {
        self.list(var, kind, label, values, &[])
    }

    /// A field with values and options, each with its label.
    pub(crate) fn list(
        &mut self,
        var: &str,
        kind: &str,
        label: Option<&str>,
        values: &[&str],
        options: &[(&str, &str)],
    ) -> &mut Self {
        self.0
            .open("field")
            .attr("var", var)
            .attr("type", kind)
            .attr_opt("label", label);
        for value in values {
            self.0.leaf("value", value);
        }
        for (value, label) in options {
            self.0.open("option").attr("label", label);
            self.0.leaf("value", value).close();
        }
        self.0.close();
        self
    }

    /// A list of values that nobody offers a choice for (XEP-0122 §4.2, `open` validation).
    pub(crate) fn open_list(&mut self, var: &str) -> &mut Self {
        self.0
            .open("field")
            .attr("var", var)
            .attr("type", "list-multi");
        self.0
            .open_ns("validate", ns::FORM_VALIDATION)
            .attr("datatype", "xs:string")
            .open("open")
            .close()
            .close();
        self.0.close();
        self
    }

    /// Closes the form.
    pub(crate) fn end(self) {
        self.0.close();
    }
}
