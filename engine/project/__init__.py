"""Projects: a folder with rung.yaml. Only the lookup of that folder is imported here; it needs nothing else."""

from rung.engine.project.root import PROJECT_FILE as PROJECT_FILE
from rung.engine.project.root import is_project as is_project
from rung.engine.project.root import project_root as project_root
