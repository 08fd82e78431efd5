//! What the pages say: lines to copy, and what is seen then.

pub(crate) const COOKBOOK: &str = include_str!("../../docs/cookbook.md");
const README: &str = include_str!("../../README.md");

/// Lines to copy.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The question that they answer.
    pub(crate) title: String,
    pub(crate) lines: String,
    /// The output that they are said to have.
    pub(crate) seen: Option<String>,
}

impl Recipe {
    /// How the lines are said to end: as vaurien says that it ends, which is last in them.
    pub(crate) fn exit_code(&self) -> i32 {
        let mut said = self.seen.iter().flat_map(|seen| seen.lines()).rev();
        said.find_map(|line| line.strip_prefix("exit code ")?.split(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

/// Those of the cookbook, in order.
pub(crate) fn recipes() -> Vec<Recipe> {
    read(COOKBOOK)
}

/// The line around a test command with which the README begins.
pub(crate) fn first_line() -> Recipe {
    read(README).into_iter().find(|recipe| recipe.lines.starts_with("vaurien ")).unwrap()
}

/// The blocks of `sh` on a page, each with the block of `text` that follows it.
fn read(page: &str) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    let mut title = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            title = heading;
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect();
        match language {
            "sh" => recipes.push(Recipe { title: title.to_owned(), lines: block, seen: None }),
            "text" => {
                let seen = &mut recipes.last_mut().expect("something to run comes first").seen;
                assert!(seen.replace(block).is_none(), "{title}: seen twice");
            }
            _ => {}
        }
    }
    recipes
}
