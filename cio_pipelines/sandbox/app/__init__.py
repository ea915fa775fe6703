"""The calls of the App API that send, and that look things up or keep them; reading people is `app_api`."""
