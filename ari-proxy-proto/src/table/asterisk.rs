//! Asterisk itself: variables, configuration, log channels, modules.

use ari_core::EntityKind::{Config, Logging, Module, Variable};

use crate::kind::{Answer, Failure, Field, Form, KeyId, KeyUse, Kind, Run, Shape};

const CONFIG: KeyUse = KeyUse::Path(Config, &["configClass", "objectType", "id"]);
const LOGGING: Failure = Failure::Text("failed to get list of logging channels: ");

pub(super) const KINDS: &[Kind] = &[
    Kind::data(
        "AsteriskInfo",
        "asterisk",
        "getInfo",
        "asterisk",
        Shape::Bare,
    )
    .fails(Failure::Text("failed to get asterisk info: ")),
    Kind::data(
        "AsteriskVariableGet",
        "asterisk",
        "getGlobalVar",
        "variable",
        Shape::Variable,
    )
    .on(Variable, "variable")
    .fails(Failure::VariableGet),
    Kind::command("AsteriskVariableSet", "asterisk", "setGlobalVar")
        .on(Variable, "variable")
        .payload(
            "asterisk_variable_set",
            &[Field::text("value", "value").zero_lost()],
        )
        .fails(Failure::VariableSet),
    Kind::data(
        "AsteriskConfigData",
        "asterisk",
        "getObject",
        "config",
        Shape::Config,
    )
    .key(CONFIG)
    .fails(Failure::Data("config")),
    Kind::command("AsteriskConfigUpdate", "asterisk", "updateObject")
        .key(CONFIG)
        .payload(
            "asterisk_config",
            &[Field::of("tuples", "fields", Form::Tuples).optional()],
        ),
    Kind::command("AsteriskConfigDelete", "asterisk", "deleteObject").key(CONFIG),
    Kind::create("AsteriskLoggingCreate", "asterisk", "addLog")
        .on(Logging, "logChannelName")
        .payload(
            "asterisk_logging_channel",
            &[Field::text("config", "configuration")],
        )
        .answers(Answer::RequestKey),
    Kind::data(
        "AsteriskLoggingData",
        "asterisk",
        "listLogChannels",
        "log",
        Shape::Log,
    )
    .on(Logging, "logChannelName")
    .runs(Run::Find)
    .secondary()
    .fails(LOGGING),
    Kind::get("AsteriskLoggingGet", "asterisk", "listLogChannels")
        .on(Logging, "logChannelName")
        .runs(Run::Find)
        .fails(LOGGING),
    Kind::list(
        "AsteriskLoggingList",
        "asterisk",
        "listLogChannels",
        Logging,
        KeyId::Member("channel"),
    )
    .fails(LOGGING),
    Kind::command("AsteriskLoggingRotate", "asterisk", "rotateLog")
        .on(Logging, "logChannelName")
        .unnamed("Not allowed to rotate unnamed channels"),
    Kind::command("AsteriskLoggingDelete", "asterisk", "deleteLog")
        .on(Logging, "logChannelName")
        .unnamed("Not allowed to delete unnamed channels"),
    Kind::data(
        "AsteriskModuleData",
        "asterisk",
        "getModule",
        "module",
        Shape::Keyed,
    )
    .on(Module, "moduleName")
    .fails(Failure::Data("module")),
    Kind::get("AsteriskModuleGet", "asterisk", "getModule")
        .on(Module, "moduleName")
        .fails(Failure::Data("module")),
    Kind::list(
        "AsteriskModuleList",
        "asterisk",
        "listModules",
        Module,
        KeyId::Member("name"),
    ),
    Kind::command("AsteriskModuleLoad", "asterisk", "loadModule").on(Module, "moduleName"),
    Kind::command("AsteriskModuleReload", "asterisk", "reloadModule").on(Module, "moduleName"),
    Kind::command("AsteriskModuleUnload", "asterisk", "unloadModule").on(Module, "moduleName"),
];
