"""What applications call: messages that go out now, or through a queue that loses nothing."""
