"""The HTTP door of the queue: applications in any language give their messages, and go on."""
