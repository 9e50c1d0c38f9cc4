"""The application: use cases over adapters. Never imports streamlit."""
