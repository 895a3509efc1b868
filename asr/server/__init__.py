"""A server for transcription: OpenAI's interface over HTTP, live audio over a WebSocket, a page."""
