//! How rows of the table are written.

use ari_core::EntityKind;

use crate::{
    kind::{
        Answer, Bind, Empty, Failure, Field, FieldDefault, Form, KeyId, KeyUse, Kind, Payload, Run,
        Shape, When,
    },
    subject::Class,
};

impl Kind {
    const fn new(
        class: Class,
        name: &'static str,
        resource: &'static str,
        operation: &'static str,
    ) -> Self {
        Self {
            name,
            class,
            collects: false,
            operation: (resource, operation),
            aliases: &[],
            primary: true,
            key: KeyUse::Target,
            payload: None,
            fixed: None,
            run: Run::Call,
            answer: Answer::Nothing,
            binds: (When::Before, &[]),
            failure: Failure::Plain,
            unnamed: None,
        }
    }

    pub(crate) const fn command(
        name: &'static str,
        resource: &'static str,
        operation: &'static str,
    ) -> Self {
        Self::new(Class::Command, name, resource, operation)
    }

    pub(crate) const fn create(
        name: &'static str,
        resource: &'static str,
        operation: &'static str,
    ) -> Self {
        Self::new(Class::Create, name, resource, operation)
    }

    /// A request for data of an entity.
    pub(crate) const fn data(
        name: &'static str,
        resource: &'static str,
        operation: &'static str,
        member: &'static str,
        shape: Shape,
    ) -> Self {
        Self {
            answer: Answer::Data(member, shape),
            ..Self::new(Class::Data, name, resource, operation)
        }
    }

    /// A request that only asks whether an entity exists.
    pub(crate) const fn get(
        name: &'static str,
        resource: &'static str,
        operation: &'static str,
    ) -> Self {
        Self {
            answer: Answer::RequestKey,
            primary: false,
            ..Self::new(Class::Get, name, resource, operation)
        }
    }

    /// A request for the keys of all entities of a kind.
    pub(crate) const fn list(
        name: &'static str,
        resource: &'static str,
        operation: &'static str,
        entity: EntityKind,
        id: KeyId,
    ) -> Self {
        Self {
            answer: Answer::Keys(entity, id),
            collects: true,
            ..Self::new(Class::Get, name, resource, operation)
        }
    }

    pub(crate) const fn on(self, entity: EntityKind, parameter: &'static str) -> Self {
        Self {
            key: KeyUse::Entity(entity, parameter),
            ..self
        }
    }

    pub(crate) const fn key(self, key: KeyUse) -> Self {
        Self { key, ..self }
    }

    pub(crate) const fn payload(self, name: &'static str, fields: &'static [Field]) -> Self {
        Self {
            payload: Some(Payload {
                name,
                below: None,
                fields,
                missing: None,
            }),
            ..self
        }
    }

    pub(crate) const fn payload_below(
        self,
        name: &'static str,
        below: &'static str,
        fields: &'static [Field],
        missing: Option<&'static str>,
    ) -> Self {
        Self {
            payload: Some(Payload {
                name,
                below: Some(below),
                fields,
                missing,
            }),
            ..self
        }
    }

    /// With a parameter that the kind itself stands for.
    pub(crate) const fn with(self, parameter: &'static str, value: &'static str) -> Self {
        Self {
            fixed: Some((parameter, value)),
            primary: false,
            ..self
        }
    }

    pub(crate) const fn answers(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    pub(crate) const fn runs(self, run: Run) -> Self {
        Self { run, ..self }
    }

    pub(crate) const fn binds(self, when: When, binds: &'static [Bind]) -> Self {
        Self {
            binds: (when, binds),
            ..self
        }
    }

    pub(crate) const fn fails(self, failure: Failure) -> Self {
        Self { failure, ..self }
    }

    pub(crate) const fn unnamed(self, error: &'static str) -> Self {
        Self {
            unnamed: Some(error),
            ..self
        }
    }

    pub(crate) const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// Not what clients use for the operation.
    pub(crate) const fn secondary(self) -> Self {
        Self {
            primary: false,
            ..self
        }
    }

    /// Does nothing but bind.
    pub(crate) const fn only_binds(self) -> Self {
        Self {
            run: Run::Nothing,
            primary: false,
            ..self
        }
    }

    /// Only looks whether the entity exists, for an operation that follows.
    pub(crate) const fn only_checks(self) -> Self {
        Self {
            run: Run::Check,
            primary: false,
            ..self
        }
    }
}

impl Field {
    const fn new(name: &'static str, parameter: &'static str, form: Form) -> Self {
        Self {
            name,
            parameter,
            form,
            within: None,
            optional: false,
            always: false,
            empty: Empty::Absent,
            default: FieldDefault::None,
        }
    }

    pub(crate) const fn text(name: &'static str, parameter: &'static str) -> Self {
        Self::new(name, parameter, Form::Text)
    }

    pub(crate) const fn item(name: &'static str, parameter: &'static str) -> Self {
        Self::new(name, parameter, Form::Item)
    }

    pub(crate) const fn integer(name: &'static str, parameter: &'static str) -> Self {
        Self::new(name, parameter, Form::Integer)
    }

    pub(crate) const fn boolean(name: &'static str, parameter: &'static str) -> Self {
        Self::new(name, parameter, Form::Boolean)
    }

    pub(crate) const fn seconds(name: &'static str, parameter: &'static str) -> Self {
        Self::new(name, parameter, Form::Seconds)
    }

    pub(crate) const fn milliseconds(name: &'static str, parameter: &'static str) -> Self {
        Self::new(name, parameter, Form::Milliseconds)
    }

    pub(crate) const fn of(name: &'static str, parameter: &'static str, form: Form) -> Self {
        Self::new(name, parameter, form)
    }

    pub(crate) const fn within(self, object: &'static str) -> Self {
        Self {
            within: Some(object),
            ..self
        }
    }

    pub(crate) const fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    pub(crate) const fn always(self) -> Self {
        Self {
            always: true,
            ..self
        }
    }

    pub(crate) const fn zero_lost(self) -> Self {
        Self {
            empty: Empty::Ambiguous,
            ..self
        }
    }

    pub(crate) const fn needed(self) -> Self {
        Self {
            empty: Empty::Refused,
            ..self
        }
    }

    pub(crate) const fn or(self, text: &'static str) -> Self {
        Self {
            default: FieldDefault::Text(text),
            ..self
        }
    }

    pub(crate) const fn or_application(self) -> Self {
        Self {
            default: FieldDefault::Application,
            ..self
        }
    }

    pub(crate) const fn or_id(self, suffix: &'static str) -> Self {
        Self {
            default: FieldDefault::Id(suffix),
            ..self
        }
    }

    pub(crate) const fn or_refuse(self, error: &'static str) -> Self {
        Self {
            default: FieldDefault::Refuse(error),
            ..self
        }
    }
}
