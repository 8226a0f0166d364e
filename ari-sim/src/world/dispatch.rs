//! From an operation to what does it.

use ari_core::{Method, Request};

use super::{
    World,
    params::Params,
    reply::{Outcome, refuse},
};

impl World {
    pub(crate) fn dispatch(&mut self, request: &Request) -> Outcome {
        let params = Params(request);
        let path = request.operation.path;
        let resource = path.split('/').nth(1).unwrap_or_default();
        if !self.resource_runs(resource) {
            return Err(refuse(404, "Resource not found"));
        }
        match resource {
            "channels" => self.channels_operation(request.operation.method, path, params),
            "bridges" => self.bridges_operation(request.operation.method, path, params),
            "playbacks" => match (request.operation.method, path) {
                (Method::Get, _) => self.get_playback(params),
                (Method::Delete, _) => self.stop_playback(params),
                _ => self.control_playback(params),
            },
            "recordings" => self.recordings_operation(request.operation.method, path, params),
            "applications" => match (request.operation.method, path) {
                (Method::Get, "/applications") => self.list_applications(),
                (Method::Get, _) => self.get_application(params),
                (Method::Post, _) => self.subscribe(params),
                (Method::Delete, _) => self.unsubscribe(params),
                (Method::Put, _) => self.filter_events(params),
            },
            "events" => match path {
                "/events/user/{eventName}" => self.user_event(params),
                "/events/claim" => self.claim(params),
                _ => Err(refuse(400, "events are had over a WebSocket")),
            },
            "asterisk" => self.asterisk_operation(request.operation.method, path, params),
            "deviceStates" | "mailboxes" | "endpoints" | "sounds" => {
                self.directory_operation(request.operation.method, path, params)
            }
            _ => Err(refuse(404, "Resource not found")),
        }
    }

    fn channels_operation(&mut self, method: Method, path: &str, params: Params<'_>) -> Outcome {
        match (method, path) {
            (Method::Get, "/channels") => self.list_channels(),
            (Method::Post, "/channels" | "/channels/{channelId}") => self.originate(params),
            (Method::Post, "/channels/create") => self.create_channel(params),
            (Method::Post, "/channels/externalMedia") => self.external_media(params),
            (Method::Get, "/channels/{channelId}") => self.get_channel(params),
            (Method::Delete, "/channels/{channelId}") => self.hang_up(params),
            (Method::Post, "/channels/{channelId}/continue") => self.continue_in_dialplan(params),
            (Method::Post, "/channels/{channelId}/move") => self.move_channel(params),
            (Method::Post, "/channels/{channelId}/redirect") => self.redirect(params),
            (Method::Post, "/channels/{channelId}/answer") => self.answer(params),
            (Method::Post, "/channels/{channelId}/ring") => self.ring(params),
            (Method::Post, "/channels/{channelId}/progress") => self.progress(params),
            (Method::Post, "/channels/{channelId}/dtmf") => self.send_dtmf(params),
            (Method::Post | Method::Delete, "/channels/{channelId}/mute") => self.mute(params),
            (
                Method::Post | Method::Delete,
                "/channels/{channelId}/ring" | "/channels/{channelId}/hold",
            ) => self.without_effect(params),
            (method, "/channels/{channelId}/moh") => self.music(params, method == Method::Post),
            (method, "/channels/{channelId}/silence") => {
                self.silence(params, method == Method::Post)
            }
            (
                Method::Post,
                "/channels/{channelId}/snoop" | "/channels/{channelId}/snoop/{snoopId}",
            ) => self.snoop(params),
            (
                Method::Post,
                "/channels/{channelId}/play" | "/channels/{channelId}/play/{playbackId}",
            ) => self.play_on_channel(params),
            (Method::Post, "/channels/{channelId}/record") => self.record_channel(params),
            (Method::Get, "/channels/{channelId}/variable") => self.get_channel_variable(params),
            (Method::Post, "/channels/{channelId}/variable") => self.set_channel_variable(params),
            (Method::Get, "/channels/{channelId}/variables") => self.get_channel_variables(params),
            (Method::Post, "/channels/{channelId}/variables") => self.set_channel_variables(params),
            (Method::Post, "/channels/{channelId}/dial") => self.dial(params),
            (Method::Get, "/channels/{channelId}/rtp_statistics") => self.rtp_statistics(params),
            (Method::Post, "/channels/{channelId}/transfer_progress") => {
                self.transfer_progress(params)
            }
            _ => Err(refuse(404, "Resource not found")),
        }
    }

    fn bridges_operation(&mut self, method: Method, path: &str, params: Params<'_>) -> Outcome {
        match (method, path) {
            (Method::Get, "/bridges") => self.list_bridges(),
            (Method::Post, "/bridges" | "/bridges/{bridgeId}") => self.create_bridge(params),
            (Method::Get, "/bridges/{bridgeId}") => self.get_bridge(params),
            (Method::Delete, "/bridges/{bridgeId}") => self.destroy_bridge(params),
            (Method::Get, "/bridges/{bridgeId}/variable") => self.get_bridge_variable(params),
            (Method::Post, "/bridges/{bridgeId}/variable") => self.set_bridge_variable(params),
            (Method::Get, "/bridges/{bridgeId}/variables") => self.get_bridge_variables(params),
            (Method::Post, "/bridges/{bridgeId}/variables") => self.set_bridge_variables(params),
            (Method::Post, "/bridges/{bridgeId}/addChannel") => self.add_channels(params),
            (Method::Post, "/bridges/{bridgeId}/removeChannel") => self.remove_channels(params),
            (Method::Post, "/bridges/{bridgeId}/moh") => self.start_bridge_music(params),
            (Method::Delete, "/bridges/{bridgeId}/moh") => self.stop_bridge_music(params),
            (
                Method::Post,
                "/bridges/{bridgeId}/play" | "/bridges/{bridgeId}/play/{playbackId}",
            ) => self.play_on_bridge(params),
            (Method::Post, "/bridges/{bridgeId}/record") => self.record_bridge(params),
            (Method::Post, "/bridges/{bridgeId}/videoSource/{channelId}") => {
                self.set_video_source(params)
            }
            (Method::Delete, "/bridges/{bridgeId}/videoSource") => self.clear_video_source(params),
            _ => Err(refuse(404, "Resource not found")),
        }
    }

    fn recordings_operation(&mut self, method: Method, path: &str, params: Params<'_>) -> Outcome {
        match (method, path) {
            (Method::Get, "/recordings/stored") => self.list_stored(),
            (Method::Get, "/recordings/stored/{recordingName}") => self.get_stored(params),
            (Method::Delete, "/recordings/stored/{recordingName}") => self.delete_stored(params),
            (Method::Get, "/recordings/stored/{recordingName}/file") => self.stored_file(params),
            (Method::Post, "/recordings/stored/{recordingName}/copy") => self.copy_stored(params),
            (Method::Get, "/recordings/live/{recordingName}") => self.get_live(params),
            (Method::Delete, "/recordings/live/{recordingName}") => self.discard_live(params),
            (Method::Post, "/recordings/live/{recordingName}/stop") => self.stop_live(params),
            (Method::Post, "/recordings/live/{recordingName}/pause") => {
                self.pause_live(params, true)
            }
            (Method::Delete, "/recordings/live/{recordingName}/pause") => {
                self.pause_live(params, false)
            }
            (method, "/recordings/live/{recordingName}/mute") => {
                self.mute_live(params, method == Method::Post)
            }
            _ => Err(refuse(404, "Resource not found")),
        }
    }
}
