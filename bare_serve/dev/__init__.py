"""What a developer has of the server: reload on change, errors in the browser, live pages."""
