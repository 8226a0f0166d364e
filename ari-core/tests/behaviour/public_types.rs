//! Every public type goes between threads and can be shown.

use std::{collections::BTreeSet, fmt::Debug};

use ari_core::{Operation, registry};

fn shared<T: Send + Sync + Debug>() {}

fn names<const N: usize>(names: [&'static str; N]) -> BTreeSet<&'static str> {
    names.into()
}

/// Asserts it of the types of one module, and gives their names.
macro_rules! shared {
    ($module:path: $($name:ident)*) => {{
        use $module::*;
        $(shared::<$name>();)*
        names([$(stringify!($name)),*])
    }};
}

#[test]
fn those_written_by_hand() {
    shared! { ari_core:
        Answer Ari ApplicationHandle BridgeHandle BridgeId Calls ChannelHandle ChannelId
        ConnectionState Creates DeviceStateHandle End EndpointHandle Entity EntityKind Error Event
        Gap GapCause HttpRequest IgnoringGaps IncomingCall LiveRecordingHandle Location
        LogChannelHandle MailboxHandle Metadata Method Missing ModuleHandle OperationSpec Outcome
        ParameterSpec ParameterType Parameters ParseTimestampError PlaybackHandle PlaybackId
        Refusal Request Response Role SoundHandle Source StoredRecordingHandle StreamItem
        Timestamp Unroutable
    };
    shared! { ari_core::router: Feed FeedChange FeedState FeedWait Router RouterCounts };
    shared! { ari_core::local: Dialogs LocalEvents };
    shared! { ari_core::registry: EventSpec ModelSpec };
    shared! { ari_core::subject: InvalidName NameRole };
    shared! { ari_core::testing: Fake };
    shared::<ari_core::Concern<'_>>();
    shared::<ari_core::Numbers<'_>>();
    shared::<ari_core::Gathered<ari_core::ChannelHandle>>();
    shared::<ari_core::Staged<ari_core::ChannelHandle>>();
    shared::<ari_core::Events>();
    shared::<ari_core::Events<ari_core::Typed<ari_core::events::StasisStart>>>();
    shared::<ari_core::IgnoringGaps<ari_core::Typed<ari_core::events::StasisStart>>>();
    shared::<std::sync::Arc<dyn ari_core::AriClient>>();
}

#[test]
fn values_and_resources() {
    shared! { ari_core::models:
        BridgeType ChannelState ContactStatus DeviceStateValue EndpointState PlaybackState
        RecordingState
    };
    shared! { ari_core::operations:
        Applications Asterisk Bridges Channels ConnectionType DeviceStates Direction Encapsulation
        Endpoints EventOperations HangupReason IfExists InfoSection Mailboxes MediaTransport
        PlaybackControl Playbacks Recordings SnoopDirection Sounds TerminateOn TextList
        TransferState
    };
}

#[test]
fn models() {
    let names = shared! { ari_core::models:
        Application BuildInfo SystemInfo SetId ConfigInfo StatusInfo AsteriskInfo AsteriskPing
        Module LogChannel Variable Variables ConfigTuple Bridge Dialed DialplanCEP CallerID RTPstat
        Channel DeviceState Endpoint TextMessage Message MissingParams Event ContactInfo Peer
        ReferTo ReferredBy RequiredDestination AdditionalParam RESTHeader RESTQueryStringParameter
        RESTRequest Mailbox Playback StoredRecording LiveRecording FormatLangPair Sound
    };
    let known: BTreeSet<&str> = registry::MODELS.iter().map(|model| model.name).collect();
    assert_eq!(names, known);
}

#[test]
fn events() {
    let names = shared! { ari_core::events:
        ApplicationMoveFailed ApplicationRegistered ApplicationReplaced ApplicationUnregistered
        BridgeAttendedTransfer BridgeBlindTransfer BridgeCreated BridgeDestroyed BridgeMerged
        BridgeVideoSourceChanged CallBroadcast CallClaimed Dial StasisEnd StasisStart
        ChannelCallerId ChannelConnectedLine ChannelCreated ChannelDestroyed ChannelDialplan
        ChannelDtmfReceived ChannelEnteredBridge ChannelHangupRequest ChannelHold ChannelLeftBridge
        ChannelStateChange ChannelTalkingFinished ChannelTalkingStarted ChannelToneDetected
        ChannelTransfer ChannelUnhold ChannelUserevent ChannelVarset ContactStatusChange
        DeviceStateChanged EndpointStateChange PeerStatusChange TextMessageReceived
        PlaybackContinuing PlaybackFinished PlaybackStarted RecordingFailed RecordingFinished
        RecordingStarted RESTResponse
    };
    let known: BTreeSet<&str> = registry::EVENTS.iter().map(|event| event.name).collect();
    assert_eq!(names, known);
    shared! { ari_core::events: EventBody };
}

#[test]
fn builders_and_what_awaits_them() {
    let mut built = BTreeSet::new();
    macro_rules! builders {
        ($($module:ident: $($name:ident)*;)*) => {$($(
            shared::<ari_core::operations::$module::$name>();
            sent::<<ari_core::operations::$module::$name as IntoFuture>::IntoFuture>();
            built.insert(<ari_core::operations::$module::$name as Operation>::SPEC.to_string());
        )*)*};
    }
    builders! {
        applications: List Get Subscribe Unsubscribe Filter;
        asterisk: GetObject UpdateObject DeleteObject GetInfo Ping ListModules GetModule LoadModule
        UnloadModule ReloadModule ListLogChannels AddLog DeleteLog RotateLog GetGlobalVar
        SetGlobalVar;
        bridges: List Create CreateWithId Get Destroy GetBridgeVar SetBridgeVar GetBridgeVars
        SetBridgeVars AddChannel RemoveChannel SetVideoSource ClearVideoSource StartMoh StopMoh Play
        PlayWithId Record;
        channels: List Originate Create Get OriginateWithId Hangup ContinueInDialplan Move Redirect
        Answer Ring RingStop Progress SendDtmf Mute Unmute Hold Unhold StartMoh StopMoh StartSilence
        StopSilence Play PlayWithId Record GetChannelVar SetChannelVar GetChannelVars SetChannelVars
        SnoopChannel SnoopChannelWithId Dial RtpStatistics ExternalMedia TransferProgress;
        device_states: List Get Update Delete;
        endpoints: List SendMessage Refer ListByTech Get SendMessageToEndpoint ReferToEndpoint;
        events: UserEvent ClaimChannel;
        mailboxes: List Get Update Delete;
        playbacks: Get Stop Control;
        recordings: ListStored GetStored DeleteStored GetStoredFile CopyStored GetLive Cancel Stop
        Pause Unpause Mute Unmute;
        sounds: List Get;
    }
    // The stream of events is the transport's, not a request.
    built.insert("GET /events".to_owned());
    let known: BTreeSet<String> = registry::OPERATIONS
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(built, known);
}

fn sent<T: Send>() {}
