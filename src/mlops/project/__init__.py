"""The ground floor: settings, files, git, errors and words, which every other wing stands on."""
