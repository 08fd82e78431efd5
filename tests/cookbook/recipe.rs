//! Commands to copy from a page, and the outputs that it quotes.

pub(crate) const COOKBOOK: &str = include_str!("../../docs/cookbook.md");
const README: &str = include_str!("../../README.md");

/// Commands to copy.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The heading above them.
    pub(crate) title: String,
    pub(crate) lines: String,
    /// The output that the page quotes.
    pub(crate) seen: Option<String>,
}

impl Recipe {
    /// The exit code that the output quotes: vaurien prints it last.
    pub(crate) fn exit_code(&self) -> i32 {
        let mut said = self.seen.iter().flat_map(|seen| seen.lines()).rev();
        said.find_map(|line| line.strip_prefix("exit code ")?.split(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

/// The recipes of the cookbook, in order.
pub(crate) fn recipes() -> Vec<Recipe> {
    read(COOKBOOK)
}

/// The README's line around a test command, whose output it quotes.
pub(crate) fn first_line() -> Recipe {
    read(README).into_iter().find(|recipe| recipe.lines.starts_with("vaurien ") && recipe.seen.is_some()).unwrap()
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
