-- For trying out: one host, no encryption, one component.
pidfile = "/tmp/prosody.pid"
data_path = "/var/lib/prosody"
log = { { levels = { min = "info" }, to = "console" } }
authentication = "internal_plain"
storage = "internal"
modules_enabled = { "roster", "saslauth", "disco", "ping", "carbons", "pep", "posix" }
modules_disabled = { "s2s", "s2s_auth_certs" }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
component_interfaces = { "*" }
component_ports = { 5347 }
-- After a hard stop the newest stream wins, not the dead one.
component_conflict_resolve = "kick_old"

VirtualHost "localhost"
Component "chat.localhost"
component_secret = "for trying out only"
