"""The stages of a study, one file each; every stage resumes by itself."""
